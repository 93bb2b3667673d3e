from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.commands.dvc_files import HOLDERS, KEPT, LOCK_FILE, holder, keep_lock_file, mend, mend_holders, mend_lock_file
from pipeline.errors import ConfigError

WHOLE = b"schema: '2.0'\nstages:\n  code:\n    cmd: python -m pipeline.stages.code\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".dvc/tmp").mkdir(parents=True)


@pytest.mark.parametrize("length", range(0, len(WHOLE), 9))
def test_a_lock_file_cut_anywhere_is_whole_again(length: int, capsys: pytest.CaptureFixture[str]) -> None:
    LOCK_FILE.write_bytes(WHOLE)
    keep_lock_file()
    LOCK_FILE.write_bytes(WHOLE[:length])
    mend_lock_file()
    said = capsys.readouterr().out
    if said:
        assert said.startswith("dvc.lock: was torn; it is the last whole one again")
        assert LOCK_FILE.read_bytes() == WHOLE
        assert KEPT.with_suffix(".torn").read_bytes() == WHOLE[:length]
    else:  # what is left is a lock file too, of fewer stages, which run again
        assert LOCK_FILE.read_bytes() == KEPT.read_bytes() == WHOLE[:length]


def test_garbage_and_conflicts_get_their_remedy() -> None:
    LOCK_FILE.write_bytes(b"\x00\xff garbage: [")
    with pytest.raises(ConfigError, match=r"dvc.lock: torn or not DVC's; .*`git checkout dvc.lock`.*`rm dvc.lock`"):
        mend()
    LOCK_FILE.write_bytes(b"<<<<<<< ours\n" + WHOLE + b"=======\n" + WHOLE + b">>>>>>> theirs\n")
    keep_lock_file()
    with pytest.raises(ConfigError, match=r"marks of a merge conflict; .*`git checkout --ours dvc.lock`"):
        mend()


def test_another_whole_lock_file_is_the_users_will() -> None:
    LOCK_FILE.write_bytes(WHOLE)
    mend_lock_file()
    LOCK_FILE.write_bytes(WHOLE.replace(b"code", b"prepare"))
    mend_lock_file()
    assert LOCK_FILE.read_bytes() == KEPT.read_bytes() == WHOLE.replace(b"code", b"prepare")
    LOCK_FILE.unlink()
    mend_lock_file()
    assert not LOCK_FILE.exists()


@pytest.mark.parametrize("content", ["", '{"write": {"a', "[]", '{"write": {"a": {}}}', "null"])
def test_a_torn_list_of_holders_is_removed(content: str) -> None:
    HOLDERS.write_text(content)
    mend_holders()
    assert not HOLDERS.exists()


def test_the_dead_are_removed_and_the_living_named(zombie: int, sleeper: int) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = {"pid": zombie, "cmd": "dvc repro"}
    HOLDERS.write_text(
        json.dumps(
            {"write": {"a": dead, "b": {"pid": gone.pid, "cmd": "x"}}, "read": {"c": [dead, info(sleeper)], "d": [dead]}}
        )
    )
    mend_holders()
    assert json.loads(HOLDERS.read_text()) == {"write": {}, "read": {"c": [info(sleeper)]}}
    assert holder() == f"process {sleeper} (dvc repro)"


def test_a_number_that_another_process_has_now_is_dead(sleeper: int) -> None:
    HOLDERS.write_text(json.dumps({"write": {"a": info(sleeper)}, "read": {}}))
    os.utime(HOLDERS, (0, 0))
    mend_holders()
    assert json.loads(HOLDERS.read_text()) == {"write": {}, "read": {}}
    assert holder() == "another DVC command"


def info(pid: int) -> dict[str, object]:
    return {"pid": pid, "cmd": "dvc repro"}


@pytest.fixture
def zombie() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process.pid
    process.wait()


@pytest.fixture
def sleeper() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "600"])
    yield process.pid
    process.send_signal(signal.SIGKILL)
    process.wait()
