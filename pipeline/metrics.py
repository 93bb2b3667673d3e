"""What is measured of a run: the one table of its names, words, units, and of which side is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Better = Literal["lower", "higher", "neither"]
Judged = Literal[
    "val_loss",
    "val_accuracy",
    "val_mae",
    "last_val_loss",
    "last_val_accuracy",
    "last_val_mae",
    "gap",
    "last_gap",
    "best_epoch",
]
"""What a study may be judged by."""
Monitor = Literal[
    "val_loss",
    "val_accuracy",
    "val_mae",
    "val_macro_f1",
    "val_micro_f1",
    "val_balanced_accuracy",
    "val_exact_match",
    "val_roc_area",
    "val_average_precision",
    "val_rmse",
]
"""What the best epoch may be chosen by; which of them depends on what is predicted."""
Measure = Literal["accuracy", "mae"]
"""What an epoch counts of its samples beside their loss: the share that is right; of numbers how far off they are."""
MEASURES: dict[str, Measure] = {"single": "accuracy", "multi": "accuracy", "number": "mae"}
"""By a dataset's task."""


def in_row(monitor: str) -> str:
    """What the best epoch is chosen by, as the validation's row of an epoch names it."""
    return monitor.removeprefix("val_")


def measure_in(row: Mapping[str, Any]) -> Measure:
    """The one that an epoch's row has."""
    return next(measure for measure in MEASURES.values() if measure in row)


@dataclass(frozen=True)
class Metric:
    """One number of a run. unit: nats (per sample), share (of 1), s, or none of a plain number."""

    words: str
    better: Better
    unit: Literal["nats", "share", "s", "none"]


METRICS = {
    "val_loss": Metric("validation loss", "lower", "nats"),
    "val_accuracy": Metric("validation accuracy", "higher", "share"),
    "val_mae": Metric("validation mean absolute error", "lower", "none"),
    "val_macro_f1": Metric("validation macro-F1", "higher", "none"),
    "val_micro_f1": Metric("validation micro-F1", "higher", "none"),
    "val_balanced_accuracy": Metric("validation balanced accuracy", "higher", "share"),
    "val_exact_match": Metric("share of validation samples with all labels right", "higher", "share"),
    "val_roc_area": Metric("validation area under ROC", "higher", "none"),
    "val_average_precision": Metric("validation average precision", "higher", "none"),
    "val_rmse": Metric("validation root mean squared error", "lower", "none"),
    "last_val_loss": Metric("validation loss of the last epoch", "lower", "nats"),
    "last_val_accuracy": Metric("validation accuracy of the last epoch", "higher", "share"),
    "last_val_mae": Metric("validation mean absolute error of the last epoch", "lower", "none"),
    "gap": Metric("generalisation gap", "lower", "nats"),
    "last_gap": Metric("generalisation gap of the last epoch", "lower", "nats"),
    "best_epoch": Metric("best epoch", "neither", "none"),
    "train_loss": Metric("train loss", "lower", "nats"),
    "test_loss": Metric("test loss", "lower", "nats"),
    "test_accuracy": Metric("test accuracy", "higher", "share"),
    "test_mae": Metric("test mean absolute error", "lower", "none"),
    "seconds": Metric("time of a run", "lower", "s"),
}
