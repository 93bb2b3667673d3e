from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.commands.project import Project
from pipeline.commands.reproduce import reproduce
from pipeline.errors import BusyError, ConfigError, DataError

COPY = "import pathlib, shutil; shutil.copyfile('photos/1.png', 'made'); pathlib.Path('log').open('a').write('ran ')"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project of one stage, which copies a file and then does what `change.py` says."""
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], check=True)
    Path("photos").mkdir()
    Path("photos/1.png").write_bytes(b"old")
    Path("make.py").write_text(COPY)
    Path("change.py").touch()
    Path("params.yaml").write_text("a: 1\nb: 1\n")
    stage = {"cmd": "python make.py && python change.py", "deps": ["photos"], "params": ["a"], "outs": ["made"]}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"prepare": stage}}))


def times_run() -> int:
    return len(Path("log").read_text().split())


def test_data_that_change_while_they_are_read_leave_the_stage_stale() -> None:
    Path("change.py").write_text("open('photos/1.png', 'w').write('new')")
    with pytest.raises(DataError, match=r"photos/1.png: changed while prepare was reading, .*; say the same command again"):
        reproduce()
    assert not Path("dvc.lock").exists()
    Path("change.py").write_text("")
    assert reproduce().stages == ["prepare"]
    assert (times_run(), Path("made").read_bytes()) == (2, b"new")
    assert reproduce().stages == []


def test_a_stage_that_is_refused_before_its_turn_does_not_run() -> None:
    asked: list[str] = []

    def ask(stage: str) -> None:
        asked.append(stage)
        raise ConfigError("not so")

    with pytest.raises(ConfigError, match=r"^not so$"):
        reproduce(ask=ask)
    assert asked == ["prepare"]
    assert not Path("log").exists()


def test_what_was_remembered_before_is_still_given_out() -> None:
    reproduce()
    Path("photos/1.png").write_bytes(b"newer")
    reproduce()
    Path("photos/1.png").write_bytes(b"old")
    assert reproduce().stages == ["prepare"]
    assert (times_run(), Path("made").read_bytes()) == (2, b"old")


def test_parameters_that_change_meanwhile_are_named_and_others_do_not_count() -> None:
    Path("change.py").write_text("open('params.yaml', 'w').write('a: 1\\nb: 2\\n')")
    assert reproduce().stages == ["prepare"]
    Path("params.yaml").write_text("a: 3\nb: 2\n")
    Path("change.py").write_text("open('params.yaml', 'w').write('a: 4\\nb: 2\\n')")
    with pytest.raises(ConfigError, match=r"params.yaml: a changed while prepare was at work"):
        reproduce()
    with Project() as repo:
        assert "prepare" in repo.status()


def test_who_holds_dvcs_lock_is_named() -> None:
    hold = "import time, dvc.repo; repo = dvc.repo.Repo(); repo.lock.lock(); print('held', flush=True); time.sleep(600)"
    holder = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    holder.stdout.close()
    try:
        with pytest.raises(BusyError, match=f"process {holder.pid} is at work in this project; wait for it or end it"):
            reproduce()
    finally:
        holder.kill()
        holder.wait()
    assert reproduce().stages == ["prepare"]
