from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.commands.signals import Asked, aside, noted, stopping
from pipeline.errors import Stopped

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_noted_signal_is_obeyed_when_all_is_whole(number: signal.Signals) -> None:
    done: list[str] = []
    with pytest.raises(Stopped, match=f"stopped by {number.name}; the same command goes on"):
        noting(lambda _: (os.kill(os.getpid(), number), done.append("whole")))
    assert done == ["whole"]
    assert signal.getsignal(number) == signal.SIG_DFL


def test_of_two_signals_the_first_counts() -> None:
    with pytest.raises(KeyboardInterrupt):
        noting(lambda _: (os.kill(os.getpid(), signal.SIGINT), os.kill(os.getpid(), signal.SIGTERM)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_elsewhere_a_signal_stops_at_once(number: signal.Signals) -> None:
    def sleep() -> None:
        with stopping():
            os.kill(os.getpid(), number)
            time.sleep(600)

    with pytest.raises(Stopped, match=number.name):
        sleep()


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with noted() as asked, stopping():
            os.kill(os.getpid(), signal.SIGHUP)
        assert asked.signal is None
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_work_aside_is_not_interrupted_and_its_processes_are_told(number: signal.Signals) -> None:
    codes: list[int] = []

    def work() -> None:
        waits = waiting()
        threading.Timer(0.1, os.kill, (os.getpid(), number)).start()
        codes.append(waits.wait(60))

    with pytest.raises((Stopped, KeyboardInterrupt)):
        noting(lambda asked: aside(work, asked))
    assert codes == [-signal.SIGTERM]


def test_a_process_that_starts_after_the_signal_is_told_too() -> None:
    codes: list[int] = []

    def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)
        codes.append(waiting().wait(60))

    with pytest.raises(Stopped):
        noting(lambda asked: aside(work, asked))
    assert codes == [-signal.SIGTERM]


def noting(work: Callable[[Asked], object]) -> None:
    with noted() as asked:
        work(asked)


def waiting() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


def test_errors_of_work_aside_are_raised() -> None:
    with noted() as asked, pytest.raises(ZeroDivisionError):
        aside(lambda: 1 // 0, asked)


@pytest.mark.slow
def test_runs_stopped_at_random_moments_end_as_if_nobody_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.stopped_runs import tried

    trials = tried(tmp_path, 8, seed=time.time_ns())
    assert [trial for trial in trials if not trial.held] == []
