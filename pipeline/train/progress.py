"""How a training shows itself: a bar with the whole run's time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tqdm import tqdm

from pipeline.train.training import Training

LINE_EVERY_S = 5.0


class ProgressDisplay:
    """Shows epochs as they end and keeps every line in a log file."""

    def __init__(self, log: Path, total_epochs: int, done_epochs: int) -> None:
        self.log, self.total, self.first = log, total_epochs, done_epochs
        self.started, self.last_line = time.monotonic(), 0.0
        self.bar = tqdm(total=total_epochs, initial=done_epochs, unit="epoch", leave=False) if sys.stderr.isatty() else None

    def say(self, text: str) -> None:
        """Print a line, and keep it."""
        if self.bar is not None:
            self.bar.write(text, file=sys.stdout)
        else:
            print(text, flush=True)
        self._keep(text)

    def epoch(self, training: Training) -> None:
        """Show the first run's epoch that has just ended."""
        progress = training.progress
        train, clean, val = progress.rows[0][-3:]
        best = progress.best[0]
        assert best is not None
        text = (
            f"epoch {val['epoch']}/{self.total}  train loss {clean['loss']:.4f}  val loss {val['loss']:.4f}  "
            f"val accuracy {val['accuracy']:.4f}  best epoch {best['epoch']}  {train['samples_per_s']:,.0f} samples/s"
        )
        if self.bar is not None:
            self.bar.update(progress.epoch - self.bar.n)
            self.bar.set_postfix_str(f"val loss {val['loss']:.4f}, best {best['loss']:.4f} at {best['epoch']}")
            self._keep(text)
        elif progress.epoch == self.total or time.monotonic() - self.last_line > LINE_EVERY_S:
            self.last_line = time.monotonic()
            self.say(f"{text}  {self._left(progress.epoch)}")
        else:
            self._keep(text)

    def _left(self, epoch: int) -> str:
        done = max(1, epoch - self.first)
        seconds = (time.monotonic() - self.started) / done * (self.total - epoch)
        return f"{seconds:.0f} s left"

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()

    def _keep(self, text: str) -> None:
        with self.log.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
