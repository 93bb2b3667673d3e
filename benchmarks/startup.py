"""Start-up: `regatta --help`, and a `regatta run` that finds nothing to do against the `dvc repro` within it.

Run in the project's root after a `regatta run`. Wall seconds of whole processes, in turns, after a warm-up round.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.harness import write_row

ROUNDS = 7
COMMANDS = {
    "help": ("-m", "pipeline.cli", "--help"),
    "run": ("-m", "pipeline.cli", "run"),
    "dvc repro": ("-m", "dvc", "repro"),
    "python": ("-c", "pass"),
}


def measured(rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Wall seconds of each command, round by round."""
    for command in COMMANDS.values():
        _seconds(command)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            times[name].append(_seconds(command))
    return times


def _seconds(command: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Measure and write the row; the peer of a run with nothing to do is a bare `dvc repro`, which composes and checks nothing."""
    times = measured()
    ours = {"help_s": statistics.median(times["help"]), "nothing_to_do_s": statistics.median(times["run"])}
    peers = {"dvc repro": [peer / own for peer, own in zip(times["dvc repro"], times["run"], strict=True)]}
    print(", ".join(f"{name} {statistics.median(seconds):.3f} s" for name, seconds in times.items()))
    write_row("startup", ours, peers, python_s=statistics.median(times["python"]))


if __name__ == "__main__":
    main()
