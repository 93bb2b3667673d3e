"""The README's first command: `make run` in a fresh clone with dependencies installed, then again with nothing to do.

Wall seconds of whole processes, on the embedded digits with the configuration as it comes. Needs `.venv` (any `make`).
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.harness import write_row

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3


def clone(folder: Path) -> None:
    """What Git holds of the project, with the environment that is installed already."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    subprocess.run(
        "git init -q . && git add -A && git -c user.name=a -c user.email=a@b commit -qm start",
        shell=True,
        cwd=folder,
        check=True,
    )


def seconds(folder: Path, expected: str) -> float:
    """Of one `make run`, whose output must hold `expected`."""
    started = time.perf_counter()
    env = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(["make", "run"], cwd=folder, env=env, capture_output=True, text=True, check=True)
    elapsed = time.perf_counter() - started
    assert expected in done.stdout, done.stdout
    return elapsed


def main() -> None:
    """Measure in fresh clones and write the row."""
    subprocess.run(["make", "venv"], cwd=ROOT, check=True)
    first, second = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "regatta"
            folder.mkdir()
            clone(folder)
            first.append(seconds(folder, "The report is"))
            second.append(seconds(folder, "Nothing had to be run again"))
    print(f"make run: first {statistics.median(first):.1f} s, second {statistics.median(second):.2f} s")
    ours = {"first_s": statistics.median(first), "second_s": statistics.median(second)}
    write_row("make_run", ours, {}, first_rounds_s=first, second_rounds_s=second)


if __name__ == "__main__":
    main()
