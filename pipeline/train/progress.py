"""How a training shows itself: a bar with the whole run's time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tqdm import tqdm

from pipeline.train.training import Training

LINE_EVERY_S = 5.0
SILENCE_S = 30.0
"""In a long epoch a plain line tells after this time how far it is."""


class ProgressDisplay:
    """Shows the first run's epochs as they end, and how far a long one is; keeps every epoch's line in a log file."""

    def __init__(self, log: Path, training: Training) -> None:
        self.log, self.first = log, self._steps(training)
        self.started = self.last_line = time.monotonic()
        total = training.program.epochs * training.steps_per_epoch
        self.bar = tqdm(total=total, initial=self.first, unit="step", leave=False) if sys.stderr.isatty() else None

    def say(self, text: str) -> None:
        """Print a line, and keep it."""
        if self.bar is not None:
            self.bar.write(text, file=sys.stdout)
        else:
            print(text, flush=True)
        self.last_line = time.monotonic()
        self._keep(text)

    def step(self, training: Training) -> None:
        """A step has ended."""
        if self.bar is not None:
            self.bar.update(self._steps(training) - self.bar.n)
        elif time.monotonic() - self.last_line > SILENCE_S:
            progress = training.progress
            where = f"epoch {progress.epoch + 1}/{training.program.epochs}, step {progress.step}/{training.steps_per_epoch}"
            self.say(f"{where}  {self._left(training)}")

    def epoch(self, training: Training) -> None:
        """An epoch has ended."""
        progress, total = training.progress, training.program.epochs
        train, clean, val = progress.rows[0][-3:]
        best = progress.best[0]
        assert best is not None
        text = (
            f"epoch {val['epoch']}/{total}  train loss {clean['loss']:.4f}  val loss {val['loss']:.4f}  "
            f"val accuracy {val['accuracy']:.4f}  best epoch {best['epoch']}  {train['samples_per_s']:,.0f} samples/s"
        )
        if self.bar is not None:
            self.bar.set_description_str(f"epoch {val['epoch']}/{total}")
            self.bar.set_postfix_str(f"val loss {val['loss']:.4f}, best {best['loss']:.4f} at {best['epoch']}")
            self._keep(text)
        elif progress.epoch in (1, total) or time.monotonic() - self.last_line > LINE_EVERY_S:
            self.say(f"{text}  {self._left(training)}")
        else:
            self._keep(text)

    @staticmethod
    def _steps(training: Training) -> int:
        return training.progress.epoch * training.steps_per_epoch + training.progress.step

    def _left(self, training: Training) -> str:
        done, total = self._steps(training), training.program.epochs * training.steps_per_epoch
        seconds = (time.monotonic() - self.started) / max(1, done - self.first) * (total - done)
        return f"{seconds:.0f} s left"

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()

    def _keep(self, text: str) -> None:
        with self.log.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
