"""Processes end with the one that has started them, without a word where nobody reads theirs, and say plain text."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from commands_run import environment

from pipeline import processes
from pipeline.errors import StorageError
from pipeline.processes import LONGEST_LINE, LONGEST_WORD, UNREAD, busy_cores, is_alive, one_line, plain_text, this_process

LATE = """
import sys, time
from pipeline.processes import die_with_parent
time.sleep(1)
die_with_parent(sys.argv[1])
time.sleep(600)
"""
STAGE = "import time; from pipeline.stages.entry import run_program; run_program('prepare', lambda: time.sleep(600))"
PRINTS = "import sys; from pipeline.stages.entry import run_program; run_program('prepare', lambda: print('x' * 10**6))"
STARTS = """
import os, subprocess, sys
from pipeline.processes import STARTER, this_process
subprocess.Popen([sys.executable, "-c", sys.argv[1], this_process()], env={**os.environ, STARTER: this_process()})
"""


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """A word in the environment of all that is started from here."""
    word = uuid.uuid4().hex
    monkeypatch.setenv("MARK", word)
    return word


def marked(word: str) -> list[int]:
    """The processes that live and have the word in their environment, but for this one."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and word.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it has ended meanwhile
            continue
    return [pid for pid in found if pid != os.getpid()]


def gone_within(word: str, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while marked(word) and time.monotonic() < until:
        time.sleep(0.1)
    left = marked(word)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return not left


def test_a_process_is_known_by_its_number_and_its_start() -> None:
    assert is_alive(this_process())
    number = this_process().split()[0]
    assert not is_alive(f"{number} 1"), "another process had this number"
    assert not is_alive(number)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    name = processes._name(ended.pid)
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(name), "a zombie has ended"
    ended.wait()
    assert not is_alive(name)


@pytest.mark.parametrize("program", [LATE, STAGE])
def test_one_whose_starter_has_ended_before_it_could_ask_ends_at_once(mark: str, project: Path, program: str) -> None:
    subprocess.run([sys.executable, "-c", STARTS, program], check=True, env=environment() | {"MARK": mark})
    assert gone_within(mark, 30)


def test_one_that_has_asked_gets_a_signal_when_its_parent_is_killed(mark: str, tmp_path: Path) -> None:
    said = tmp_path / "said.txt"
    asks = (
        "import sys, time; from pathlib import Path; from pipeline.processes import die_with_parent, parent_process; "
        f"die_with_parent(parent_process()); Path({str(said)!r}).touch(); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", STARTS + "import time; time.sleep(600)", asks], env=environment())
    while not said.exists():
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    assert gone_within(mark, 30)


@pytest.mark.slow
@pytest.mark.parametrize("command", [["-m", "pipeline.cli", "run"], ["-m", "dvc", "repro"]])
def test_nothing_outlives_a_run_that_is_killed_as_a_stage_begins(project: Path, mark: str, command: list[str]) -> None:
    stage = project / "pipeline" / "stages" / "code.py"  # the first, which now takes its time
    stage.write_text(stage.read_text().replace("def run() -> None:", "def run() -> None:\n    import time; time.sleep(600)"))
    for i in range(15):
        run = subprocess.Popen(
            [sys.executable, "-u", *command], stdout=subprocess.PIPE, text=True, env=environment(), start_new_session=True
        )
        assert run.stdout is not None
        assert any("Running stage" in line for line in run.stdout), "the stage of the last run has not been finished"
        time.sleep(0.04 * i)
        run.kill()
        run.wait()
        run.stdout.close()
        assert gone_within(mark, 5), f"killed after {0.04 * i:.2f} s"


def unread(words: list[str], num_lines: int) -> tuple[int, str, str]:
    """Exit code, the lines that were read before the reader went, and what was said on standard error."""
    own = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    with own:
        assert own.stdout is not None
        assert own.stderr is not None
        lines = [own.stdout.readline() for _ in range(num_lines)]
        own.stdout.close()
        said = own.stderr.read()
    return own.returncode, "".join(lines), said


@pytest.mark.parametrize("words", [["runs"], ["study"], ["run", "--dry-run", "--reset"]])
def test_a_command_whose_reader_has_gone_says_nothing(project: Path, words: list[str]) -> None:
    assert unread(["-m", "pipeline.cli", *words], 0) == (UNREAD, "", "")


def test_help_whose_reader_has_gone_says_nothing() -> None:
    assert unread(["-m", "pipeline.cli", "--help"], 0)[1:] == ("", "")  # argparse counts it as said


def test_a_stage_whose_reader_has_gone_ends_quietly_and_publishes_nothing(project: Path) -> None:
    code, _, said = unread(["-u", "-m", "pipeline.cli", "run", "prepare.limit=300"], 9)
    assert (code, said) == (UNREAD, "")
    assert not Path("artifacts/augment").exists()


def test_a_broken_pipe_to_somebody_else_is_an_error_as_before(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BrokenPipeError), processes.quiet_when_unread():
        raise BrokenPipeError


@pytest.fixture(autouse=True)
def _no_starter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(processes.STARTER, raising=False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a name\n", "a name\n"),
        ("red \x1b[31m, title \x1b]0;x\x07", "red \\x1b[31m, title \\x1b]0;x\\x07"),
        ("a\rb\x08\x7f\x9b2J", "a\\rb\\x08\\x7f\\x9b2J"),
        ("exe\u202egnp.\u2066x\u2069\u200f", "exe\\u202egnp.\\u2066x\\u2069\\u200f"),
        ("one\u2028two\u2029\ufeff", "one\\u2028two\\u2029\\ufeff"),
        ("\u732b caf\u00e9 \u0643\u0644\u0628\u00a0\u3000a\tb", "\u732b caf\u00e9 \u0643\u0644\u0628\u00a0\u3000a\tb"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
        ("\r100%|###| 3/3\r", "\r100%|###| 3/3\r"),
        ("\r", "\r"),
        ("", ""),
        ("bytes \udcff", "bytes \\udcff"),
    ],
)
def test_no_character_moves_what_is_shown(text: str, shown: str) -> None:
    assert plain_text(text) == shown


def test_a_name_stays_within_its_line() -> None:
    assert one_line("a\nb\tc\r\x1b[2J\u2028d \u0645\u200c") == "a\\nb\\tc\\r\\x1b[2J\\u2028d \u0645\u200c"
    assert one_line("x" * 5000) == "x" * 5000


def test_long_words_and_lines_lose_their_middle() -> None:
    word = plain_text(f"class {'a' * 2500}{'b' * 2500} is rare\n")
    assert word == f"class {'a' * 200}...(4,700 more)...{'b' * 100} is rare\n"
    assert plain_text("x" * LONGEST_WORD) == "x" * LONGEST_WORD
    line = plain_text("ab " * 2500 + "\n" + "c d")
    assert len(line) < LONGEST_LINE
    assert line.endswith("\nc d")


def test_whatever_a_command_or_a_stage_prints_is_plain(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "\x1b[2J\u202e" + "x" * 5000
    told = [
        ["-m", "pipeline.cli", "run", f"train.epochs={evil}"],
        ["-m", "pipeline.cli", "restore", evil],
        ["-c", f"import sys; from pipeline.stages.entry import run_program as r; r('prepare', lambda: print({evil!r}))"],
        ["-c", f"from pipeline.cli import main; import sys; sys.exit(main(['nothing' + {evil!r}]))"],
    ]
    for words in told:
        done = subprocess.run([sys.executable, *words], capture_output=True, env=environment(), check=False)
        said = (done.stdout + done.stderr).decode()
        assert "\x1b" not in said
        assert "\u202e" not in said
        assert "\\x1b[2J\\u202e" in said
        assert len(said) < 4000


def test_a_full_disk_is_told_wherever_it_is_met(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "a").write_bytes(b"x")
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "a").symlink_to("/dev/full")
    full = Path("/dev/full")
    writers = [
        lambda: full.write_bytes(b"x"),
        lambda: shutil.copyfile(tmp_path / "from" / "a", full),
        lambda: shutil.copytree(tmp_path / "from", tmp_path / "to", dirs_exist_ok=True),
    ]
    for write in writers:
        with (
            pytest.raises(StorageError, match=r"No space left on device.*; free space on that disk"),
            processes.full_disk_told(),
        ):
            write()
    with pytest.raises(FileNotFoundError), processes.full_disk_told():
        (tmp_path / "none").read_bytes()


@pytest.mark.parametrize("words", [["-m", "pipeline.cli", "runs"], ["-c", PRINTS]])
def test_a_full_disk_under_what_is_printed_is_one_line_and_exit_code_5(project: Path, words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, *words], stdout=full, stderr=subprocess.PIPE, text=True, env=environment(), check=False
        )
    assert done.returncode == StorageError.exit_code
    assert re.fullmatch(r"(regatta.*: )?what is printed.*: can't be written \(No space left.*\); free space.*\n", done.stderr)


LIMITED = """
import resource
from pipeline.errors import RegattaError
from pipeline.processes import memory_limit_told
def ended(error):
    try:
        with memory_limit_told():
            raise error
    except (RegattaError, Exception) as found:
        return str(found)
assert ended(MemoryError("no")) == "no", "without a limit it is somebody else's"
resource.setrlimit(resource.RLIMIT_AS, (2_000_000 * 1024, 2_000_000 * 1024))
print(ended(ImportError("libx.so: failed to map segment from shared object")))
assert "ulimit" not in ended(ImportError("no module named x"))
try:
    with memory_limit_told():
        bytearray(4_000_000_000)
except RegattaError as error:
    print(error)
"""


def test_a_limit_of_memory_is_told_in_a_line() -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all("`ulimit -v` = 2,000,000 kB, is too small" in line for line in lines)


def test_cores_that_others_keep_busy_are_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            taken = max(busy_cores(0.3) for _ in range(20))
        finally:
            other.kill()
    assert 0.5 <= taken <= len(os.sched_getaffinity(0))
