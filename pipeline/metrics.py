"""What is measured of a run: the one table of its names, words, units, and of which side is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher", "neither"]
Judged = Literal["val_loss", "val_accuracy", "last_val_loss", "last_val_accuracy", "gap", "last_gap", "best_epoch"]
"""What a study may be judged by."""


@dataclass(frozen=True)
class Metric:
    """One number of a run. unit: nats (per sample), share (of 1), s, or none of a plain number."""

    words: str
    better: Better
    unit: Literal["nats", "share", "s", "none"]


METRICS = {
    "val_loss": Metric("validation loss", "lower", "nats"),
    "val_accuracy": Metric("validation accuracy", "higher", "share"),
    "last_val_loss": Metric("validation loss of the last epoch", "lower", "nats"),
    "last_val_accuracy": Metric("validation accuracy of the last epoch", "higher", "share"),
    "gap": Metric("generalisation gap", "lower", "nats"),
    "last_gap": Metric("generalisation gap of the last epoch", "lower", "nats"),
    "best_epoch": Metric("best epoch", "neither", "none"),
    "train_loss": Metric("train loss", "lower", "nats"),
    "test_loss": Metric("test loss", "lower", "nats"),
    "test_accuracy": Metric("test accuracy", "higher", "share"),
    "seconds": Metric("time of a run", "lower", "s"),
}
