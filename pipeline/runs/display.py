"""How far a training is, shown: a bar with the time left on a terminal, plain lines elsewhere, every epoch's in a file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.artifacts import append_lines
from pipeline.metrics import in_row, measure_in
from pipeline.progress import Display
from pipeline.runs.state import Progress, Row

EPOCH_EVERY_S = 5.0
SILENCE_S = 30.0
"""In a long epoch a plain line tells after this time how far it is."""


class EpochDisplay:
    """Shows the first run's epochs as they end, and how far a long one is; keeps every epoch's line in a log file."""

    def __init__(self, log: Path, epochs: int, steps_per_epoch: int, progress: Progress, monitor: str) -> None:
        self.log, self.epochs, self.steps_per_epoch, self.monitor = log, epochs, steps_per_epoch, monitor
        self.shown = Display("train", "step", epochs * steps_per_epoch, self._steps(progress), SILENCE_S)

    def begin(self) -> None:
        """The time left is reckoned from now and here."""
        self.shown.begin()

    def say(self, text: str) -> None:
        """Print a line, and keep it."""
        self.shown.say(text)
        self._keep(text)

    def step(self, progress: Progress) -> None:
        if self.shown.at(self._steps(progress)):
            where = f"epoch {progress.epoch + 1}/{self.epochs}, step {progress.step}/{self.steps_per_epoch}"
            self.say(f"{where}{self._left()}")

    def epoch(self, progress: Progress, rows: Sequence[Row]) -> None:
        """An epoch has ended. rows: of train, train_clean, val."""
        total = self.epochs
        train, clean, val = rows
        best = progress.best[0]
        assert best is not None
        text = (
            f"epoch {val['epoch']}/{total}  train loss {clean['loss']:.4f}  {self._validated(val)}  "
            f"best epoch {best['epoch']}{self._chosen()}  {train['samples_per_s']:,.0f} samples/s"
        )
        if self.shown.bar is not None:
            name = in_row(self.monitor)
            self.shown.note = f"val {name} {val[name]:.4f}, best {best[name]:.4f} at {best['epoch']}"
            self.shown.bar.set_description_str(f"epoch {val['epoch']}/{total}")
            self._keep(text)
        elif progress.epoch in (1, total) or time.monotonic() - self.shown.told > EPOCH_EVERY_S:
            self.say(f"{text}{self._left()}")
        else:
            self._keep(text)

    def _validated(self, val: Row) -> str:
        """The loss, the measure, and what the best epoch is chosen by, each once."""
        names = dict.fromkeys(("loss", measure_in(val), in_row(self.monitor)))
        return "  ".join(f"val {name} {val[name]:.4f}" for name in names)

    def _chosen(self) -> str:
        return "" if self.monitor == "val_loss" else f" by {self.monitor}"

    def _steps(self, progress: Progress) -> int:
        return progress.epoch * self.steps_per_epoch + progress.step

    def _left(self) -> str:
        left = self.shown.left()
        return f"  {left}" if left else ""

    def close(self) -> None:
        self.shown.close()

    def _keep(self, text: str) -> None:
        append_lines(self.log, [text])
