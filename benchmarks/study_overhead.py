"""What a study costs beside its training: storing what it knows, and the command when everything is known already.

Row: study_overhead. `results_share`: the part of a study's wall time in which the process that leads it claims its 64 runs and
stores their results (the digits runs of study.py); the workers go on meanwhile, so that it is a bound from above. Beside it,
in turns, the wall time of the same study with nothing written. `states_share`: the same for the states of unfinished runs, from
the seconds of one saving of 16 runs and the time between two; `share` is the sum. `known_s`: `regatta study dropout` in a clone
where `regatta run` has run. `written_again_s`: the same where its effects have been deleted, so that its stage reads all of
its results and writes them again.

    python -m benchmarks.study_overhead
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.harness import seconds_in_turn, write_row
from benchmarks.make_run import clone
from benchmarks.study import ours, planned_runs, project
from benchmarks.study_peers import DIGITS, EPOCHS
from pipeline import artifacts
from pipeline.study import processes
from pipeline.study.job import Job
from pipeline.study.pack import SAVE_EVERY_S, GroupKeeper, run_pack
from pipeline.study.run import SharedAgenda

STUDY = "dropout"
EFFECTS = Path("artifacts") / "study" / STUDY / "effects.json"
STORING = ("look", "claim", "take", "news")
ALL_KNOWN = r"(\d+) runs, \1 of them known already"


def main() -> None:
    """Measure and write the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    storing, stored, unstored, saving = storing_s(rounds)
    shares = [own / whole for own, whole in zip(storing, stored, strict=True)]
    known, again = commands(rounds)
    numbers = {
        "share": statistics.median(shares) + saving / SAVE_EVERY_S,
        "results_share": statistics.median(shares),
        "states_share": saving / SAVE_EVERY_S,
        "seconds": statistics.median(stored),
        "nothing_stored_s": statistics.median(unstored),
        "known_s": statistics.median(known),
        "written_again_s": statistics.median(again),
    }
    spread = {"results_share_rounds": shares, "seconds_rounds": stored, "nothing_stored_s_rounds": unstored}
    write_row("study_overhead", numbers, {}, **spread, known_s_rounds=known, written_again_s_rounds=again)


def storing_s(rounds: int) -> tuple[list[float], list[float], list[float], float]:
    """Seconds of a study's storing and of the whole of it in each round, of it with nothing stored, of saving one state."""
    with project([]) as values:
        storing: list[float] = []
        turns = {
            "stored": lambda: storing.append(timed(values)),
            "nothing stored": lambda: nothing_stored(values),
        }
        seconds = seconds_in_turn(turns, rounds)
        return storing[-rounds:], seconds["stored"], seconds["nothing stored"], saving_s(values)


def timed(values: dict[str, Any]) -> float:
    """The study as it is; seconds in which its leading process claims runs and stores results."""
    total = 0.0

    def clocked(method: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            nonlocal total
            started = time.perf_counter()
            try:
                return method(*arguments, **named)
            finally:
                total += time.perf_counter() - started

        return run

    with contextlib.ExitStack() as stack:
        for name in STORING:
            stack.enter_context(mock.patch.object(SharedAgenda, name, clocked(getattr(SharedAgenda, name))))
        ours(values, DIGITS, EPOCHS)
    return total


def nothing_stored(values: dict[str, Any]) -> None:
    """The study with neither claims nor results nor states written."""
    unwritten = mock.patch.multiple(artifacts, write_json=mock.DEFAULT, create_new=lambda path, content: True)
    with unwritten, mock.patch.object(processes, "_work", _work_without_states):
        ours(values, DIGITS, EPOCHS)


def _work_without_states(job: Job, connection: Connection, starter: str) -> None:
    """A worker's life without states; in its own process."""
    GroupKeeper.save = lambda self: None  # type: ignore[method-assign]
    processes._work(job, connection, starter)


def saving_s(values: dict[str, Any]) -> float:
    """Seconds of saving the state of one group of runs."""
    seconds = []

    class Timed(GroupKeeper):
        """Saves after each epoch."""

        save_every_s = 0.0

        def save(self) -> None:
            started = time.perf_counter()
            super().save()
            seconds.append(time.perf_counter() - started)

    with tempfile.TemporaryDirectory() as runs, mock.patch.dict(os.environ, REGATTA_RUNS=runs):
        job = planned_runs(values, DIGITS, EPOCHS).jobs[0]
        artifacts.make_dir(Path(job.state).parent)
        run_pack(job, lambda share: True, keeper=Timed)
    return statistics.median(seconds)


def commands(rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of the command in each round: with nothing to do, and with a stage that finds all its results."""
    known, again = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "regatta"
        folder.mkdir()
        clone(folder)
        command_s(folder, "run")
        for _ in range(1 + rounds):
            known.append(command_s(folder, "study", STUDY, expected="Nothing had to be run again"))
            (folder / EFFECTS).unlink()
            again.append(command_s(folder, "study", STUDY, expected=ALL_KNOWN))
    return known[1:], again[1:]


def command_s(folder: Path, *words: str, expected: str = "") -> float:
    """Of one command, whose output must match `expected`."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PYTHONPATH": str(folder), "PATH": path}
    command = [sys.executable, "-m", "pipeline.cli", *words]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    elapsed = time.perf_counter() - started
    assert re.search(expected, done.stdout), done.stdout
    return elapsed


if __name__ == "__main__":
    main()
