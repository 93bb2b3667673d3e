"""Start-up: `regatta --help`, and a `regatta run` that finds nothing to do beside the `dvc repro` that it contains.

Wall seconds of whole processes, in the project's root after a `regatta run`. The bare `dvc repro` composes and checks nothing.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable

from benchmarks.harness import ratio, seconds_in_turn, write_row

ROUNDS = 7


def process(*words: str) -> Callable[[], object]:
    """Start Python with these words and wait for its end."""
    return lambda: subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Measure and write the row."""
    seconds = seconds_in_turn(
        {
            "help": process("-m", "pipeline.cli", "--help"),
            "run": process("-m", "pipeline.cli", "run"),
            "dvc repro": process("-m", "dvc", "repro"),
        },
        ROUNDS,
    )
    ours = {"help_s": statistics.median(seconds["help"]), "nothing_to_do_s": statistics.median(seconds["run"])}
    write_row("startup", ours, {"dvc repro": ratio(seconds["run"], seconds["dvc repro"])})


if __name__ == "__main__":
    main()
