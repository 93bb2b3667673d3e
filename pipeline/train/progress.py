"""How far a training is, and how that is shown: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.artifacts import append_lines

Row = dict[str, Any]
LINE_EVERY_S = 5.0
BASIS_S = 1.0
"""Before so much of something has been seen, nobody says how long the rest takes."""
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit}s [{elapsed}{postfix}]"
"""Without tqdm's own time left, which it tells from the first step on."""
SILENCE_S = 30.0
"""In a long epoch a plain line tells after this time how far it is."""


@dataclass
class Progress:
    """How far each run is; plain numbers, saved as JSON beside the tensors."""

    epoch: int = 0
    """Finished epochs."""
    step: int = 0
    """Finished steps of the current epoch."""
    seconds: float = 0.0
    """Spent on training and validation, restarts aside."""
    epoch_seconds: float = 0.0
    """Spent on the current epoch's steps."""
    best: list[Row | None] = field(default_factory=list)
    """Per run, the validation row of its best epoch."""
    stale: list[int] = field(default_factory=list)
    """Per run, epochs since then."""
    ended: list[str | None] = field(default_factory=list)
    """Per run, why it has ended: early_stop, or not_finite with `failures`; None while it trains."""
    failures: list[str | None] = field(default_factory=list)
    rows: list[list[Row]] = field(default_factory=list)
    """Per run, the records so far."""

    @classmethod
    def of(cls, num_runs: int) -> Progress:
        """Of runs that have not begun."""
        rows: list[list[Row]] = [[] for _ in range(num_runs)]
        return cls(0, 0, 0.0, 0.0, [None] * num_runs, [0] * num_runs, [None] * num_runs, [None] * num_runs, rows)


class Pace:
    """How fast something goes, from the first sign of it on: what it takes to start and to warm up is not counted."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.first: tuple[float, float] | None = None
        """When something was done first, and how much."""
        self.done, self.seen = 0.0, 0.0

    def at(self, done: float) -> None:
        """So much is done by now."""
        self.done, self.seen = done, self.clock()
        self.first = self.first or ((self.seen, done) if done else None)

    @property
    def seen_share(self) -> float:
        """What was done since the first sign."""
        return self.done - self.first[1] if self.first else 0.0

    def seconds_of_all(self, total: float, basis_s: float = BASIS_S) -> float | None:
        """Seconds of all of it at this pace; None before so much of it has been seen."""
        if self.first is None or self.seen - self.first[0] < basis_s or not self.seen_share:
            return None
        return (self.seen - self.first[0]) * total / self.seen_share

    def left(self, total: float) -> float | None:
        """Seconds until `total` is done; None before there is a basis."""
        whole = self.seconds_of_all(total)
        return None if whole is None else max(0.0, whole * (1 - self.done / total) - (self.clock() - self.seen))


def duration(seconds: float) -> str:
    """A time to read."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


class ProgressDisplay:
    """Shows the first run's epochs as they end, and how far a long one is; keeps every epoch's line in a log file."""

    def __init__(self, log: Path, epochs: int, steps_per_epoch: int, progress: Progress) -> None:
        self.log, self.epochs, self.steps_per_epoch = log, epochs, steps_per_epoch
        self.total = epochs * steps_per_epoch
        self.begin()
        shown, first = sys.stderr.isatty(), self._steps(progress)
        self.bar = tqdm(total=self.total, initial=first, unit="step", leave=False, bar_format=BAR) if shown else None

    def begin(self) -> None:
        """The time left is reckoned from now and here."""
        self.pace = Pace()
        self.last_line = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line, and keep it."""
        if self.bar is not None:
            self.bar.write(text, file=sys.stdout)
        else:
            print(text, flush=True)
        self.last_line = time.monotonic()
        self._keep(text)

    def step(self, progress: Progress) -> None:
        """A step has ended."""
        self.pace.at(self._steps(progress))
        if self.bar is not None:
            self.bar.update(self._steps(progress) - self.bar.n)
        elif time.monotonic() - self.last_line > SILENCE_S:
            where = f"epoch {progress.epoch + 1}/{self.epochs}, step {progress.step}/{self.steps_per_epoch}"
            self.say(f"{where}{self._left()}")

    def epoch(self, progress: Progress) -> None:
        """An epoch has ended."""
        total = self.epochs
        train, clean, val = progress.rows[0][-3:]
        best = progress.best[0]
        assert best is not None
        text = (
            f"epoch {val['epoch']}/{total}  train loss {clean['loss']:.4f}  val loss {val['loss']:.4f}  "
            f"val accuracy {val['accuracy']:.4f}  best epoch {best['epoch']}  {train['samples_per_s']:,.0f} samples/s"
        )
        if self.bar is not None:
            self.bar.set_description_str(f"epoch {val['epoch']}/{total}")
            self.bar.set_postfix_str(
                f"val loss {val['loss']:.4f}, best {best['loss']:.4f} at {best['epoch']}{self._left(', ')}"
            )
            self._keep(text)
        elif progress.epoch in (1, total) or time.monotonic() - self.last_line > LINE_EVERY_S:
            self.say(f"{text}{self._left()}")
        else:
            self._keep(text)

    def _steps(self, progress: Progress) -> int:
        return progress.epoch * self.steps_per_epoch + progress.step

    def _left(self, between: str = "  ") -> str:
        left = self.pace.left(self.total)
        return "" if left is None else f"{between}{duration(left)} left"

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()

    def _keep(self, text: str) -> None:
        append_lines(self.log, [text])
