"""Signals at random moments of a whole `regatta run` with a study, each followed by the same command.

Row: stopped_runs. `trials` runs of the digits, each stopped by SIGTERM, SIGINT (to the whole group, as a terminal sends it),
SIGHUP or SIGKILL at a moment drawn by a seed. Shares of them: `exit_codes`, with the code that the signal asks for (or 0, where
the run was over); `gone`, of which no process was alive 5 s later; `ended`, whose second command ended with 0; `same`, with the
artifacts of a run that nobody stopped, byte for byte.

    python -m benchmarks.stopped_runs [TRIALS [SEED]]
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow.parquet as pq

from benchmarks.harness import write_row

ROOT = Path(__file__).resolve().parent.parent
COPIED = (
    "pipeline",
    "conf",
    "extensions.py",
    "dvc.yaml",
    "params.yaml",
    ".dvc/config",
    ".dvcignore",
    ".gitignore",
    "artifacts/study/.gitkeep",
)
STUDY = "{question: Does it?, baseline: {}, variants: {none: {model.dropout: 0.0}}, seeds: 2}"
WORDS = ("study=none", "prepare.limit=600", "augment.views=2", "train.epochs=30", "train.save_every_s=0.2",
         f"+study.definitions.tiny={STUDY}")  # fmt: skip
CODES = {signal.SIGTERM: 143, signal.SIGHUP: 143, signal.SIGINT: 130, signal.SIGKILL: -9}
COMPARED = ("prepare/**/*.npy", "augment/*.npy", "train/best.safetensors", "evaluate/predictions.parquet")
CELLS = ["variant", "seed", "hash", "metric", "value"]
"""The columns of a study's table that say nothing of who computed it, when and beside what."""
MARK = "REGATTA_STOPPED_RUN"
GONE_WITHIN_S, MOST_S = 5.0, 300.0
STARTED_S = 0.3
"""Before this Python itself is still starting, and signals are its own matter."""


@dataclass(frozen=True)
class Trial:
    """What became of a run that was stopped."""

    number: signal.Signals
    after_s: float
    over: bool
    """Whether the run had ended before, so that there was nothing to stop."""
    code: int
    left: list[str]
    second_code: int
    same: bool
    said: str

    @property
    def right_code(self) -> bool:
        """As the signal asks for; 0 where the run was over before."""
        return self.code == (0 if self.over else CODES[self.number])

    @property
    def held(self) -> bool:
        """Whether all that is promised held."""
        return self.right_code and not self.left and self.second_code == 0 and self.same


def main() -> None:
    """Try, and write the row."""
    num, seed = (int(word) for word in (*sys.argv[1:], *("40", "0")[len(sys.argv) - 1 :]))
    # `nohup` and a shell's `&` have them ignored, and so would the runs, which then nothing stops.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        trials = tried(Path(folder), num, seed)
    for trial in (trial for trial in trials if not trial.held):
        print(trial, flush=True)
    shares = {
        "exit_codes": [trial.right_code for trial in trials],
        "gone": [not trial.left for trial in trials],
        "ended": [trial.second_code == 0 for trial in trials],
        "same": [trial.same for trial in trials],
    }
    write_row("stopped_runs", {"trials": num, **{name: sum(held) / num for name, held in shares.items()}}, {})


def tried(folder: Path, num: int, seed: int) -> list[Trial]:
    """Stop `num` runs, each in a clone of its own, at moments drawn by the seed."""
    started = time.monotonic()
    clone = cloned(folder / "whole")
    code, said = ended(start_run(clone, "whole"), clone)
    assert code == 0, said
    lasts, expected = time.monotonic() - started, artifacts(clone)
    draw = random.Random(seed)
    trials = []
    for i in range(num):
        number = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)[i % 4]
        trials.append(stopped(cloned(folder / str(i)), number, draw.uniform(STARTED_S, lasts), expected))
        shutil.rmtree(folder / str(i))
        print(f"{i + 1}/{num}: {number.name} after {trials[-1].after_s:.2f} s: exit code {trials[-1].code}, "
              f"{'held' if trials[-1].held else 'NOT HELD'}", flush=True)  # fmt: skip
    return trials


def stopped(clone: Path, number: signal.Signals, after_s: float, expected: dict[str, str]) -> Trial:
    """Stop one run, look what is left of it, and say the same command again."""
    mark = f"{clone}-{after_s}"
    process = start_run(clone, mark)
    time.sleep(after_s)
    over = process.poll() is not None
    if not over:
        os.killpg(process.pid, number) if number == signal.SIGINT else os.kill(process.pid, number)
    code, said = ended(process, clone)
    time.sleep(GONE_WITHIN_S)
    left = alive(mark)
    second, more = ended(start_run(clone, mark), clone)
    return Trial(number, after_s, over, code, left, second, second == 0 and artifacts(clone) == expected, said + more)


def cloned(folder: Path) -> Path:
    """A fresh copy of the project under Git."""
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, folder / name)
    (folder / "conf" / "overrides.yaml").write_text("# @package _global_\n", encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def start_run(clone: Path, mark: str) -> subprocess.Popen[bytes]:
    """`regatta run` in a session of its own; its processes carry the mark in their environment."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(clone), MARK: mark}
    with (clone / "said.txt").open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "run", *WORDS],
            cwd=clone, stdout=said, stderr=said, env=environment, start_new_session=True,
        )  # fmt: skip


def ended(process: subprocess.Popen[bytes], clone: Path) -> tuple[int, str]:
    """The exit code and what was said; killed, and so told, where it does not end."""
    try:
        code = process.wait(MOST_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    return code, (clone / "said.txt").read_text(errors="replace")


def alive(mark: str) -> list[str]:
    """The command lines of the processes that carry the mark and are at work."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def artifacts(clone: Path) -> dict[str, str]:
    """Digests of what has to be the same, however often the run was stopped."""
    folder = clone / "artifacts"
    files = sorted(path for pattern in COMPARED for path in folder.glob(pattern))
    found = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    for path in sorted(folder.glob("study/*/cells.parquet")):
        rows = pq.read_table(path, columns=CELLS).to_pylist()
        found[str(path.relative_to(folder))] = str([row for row in rows if "seconds" not in row["metric"]])
    metrics = json.loads((folder / "evaluate" / "metrics.json").read_text(encoding="utf-8"))
    return found | {"metrics": json.dumps({key: value for key, value in metrics.items() if key != "test_reads"})}


if __name__ == "__main__":
    main()
