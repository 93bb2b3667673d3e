"""All that is measured of test samples: metrics by their names, as `metrics.json` has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation import classes as ev
from pipeline.evaluation.decisions import at_temperature, logits_of, loss_of, temperature_of
from pipeline.evaluation.numbers import determination, mean_absolute_error, root_mean_squared_error

AREAS = ["class", "positives", "roc_area", "roc_area_low", "roc_area_high", "average_precision",
         "average_precision_low", "average_precision_high"]  # fmt: skip
"""Columns of `areas.csv`."""


def judged(
    labels: NDArray[Any], predictions: ev.Ints, probabilities: NDArray[np.float32], task: str, num_bins: int
) -> dict[str, float]:
    """All metrics but the loss. Where a sample has several labels, `accuracy` is the share of labels that are right."""
    confidence, right = ev.decision_confidence(probabilities, predictions), labels == predictions
    bins = ev.reliability_bins(confidence.ravel(), right.ravel(), num_bins)
    scores = ev.class_scores(labels, predictions, probabilities.shape[1])
    of_task = {"balanced_accuracy": ev.balanced_accuracy(scores)}
    if task == "multi":
        of_task = {"exact_match": ev.exact_match(labels, predictions), "micro_f1": ev.micro_f1(labels, predictions)}
    return {
        "accuracy": float(ev.sample_accuracy(labels, predictions).mean()),
        **of_task,
        "macro_f1": ev.macro_f1(scores),
        "calibration_error": ev.calibration_error(bins),
        "mean_confidence": float(confidence.mean()),
    }


def mean_areas(rows: Sequence[Sequence[Any]]) -> dict[str, float]:
    """Means over the classes that can be told apart on test samples; with its interval where that is one."""
    found: dict[str, float] = {}
    for name in ("roc_area", "average_precision"):
        place = AREAS.index(name)
        known = [row[place : place + 3] for row in rows if row[place] is not None]
        if known:
            found[f"mean_{name}" if len(rows) > 1 else name] = float(np.mean([own[0] for own in known]))
        if len(rows) == 1 and known:
            found |= {f"{name}_low": known[0][1], f"{name}_high": known[0][2]}
    return found


def at_fitted_temperature(
    labels: NDArray[Any],
    probabilities: NDArray[Any],
    known: NDArray[Any],
    validated: NDArray[Any],
    task: str,
) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[str, float]]:
    """Probabilities of test and validation samples at the temperature that fits the latter best; it, and the losses."""
    temperature = temperature_of(known, validated, task)
    scaled, logits = at_temperature(probabilities, task, temperature)
    held_out, its_logits = at_temperature(validated, task, temperature)
    return (
        scaled,
        held_out,
        {
            "temperature": temperature,
            "scaled_loss": loss_of(labels, logits, task),
            "val_loss": loss_of(known, logits_of(validated, task), task),
            "scaled_val_loss": loss_of(known, its_logits, task),
        },
    )


def judged_numbers(
    actual: NDArray[Any], predicted: NDArray[Any], targets: Sequence[str], deviations: Sequence[float]
) -> dict[str, Any]:
    """All metrics of numbers (N, T) but the loss, with their intervals of 95 %.

    Of several numbers in deviations of the training split, which they can be averaged in, and each one's own in its own unit.
    deviations: of each, of one number it is not read.
    """
    scale = np.array(deviations) if len(targets) > 1 else 1.0
    found: dict[str, Any] = _scores(actual / scale, predicted / scale)
    if len(targets) > 1:
        pairs = zip(targets, actual.T[:, :, None], predicted.T[:, :, None], strict=True)
        found["by_target"] = {name: _scores(own, said) for name, own, said in pairs}
    return found


def _scores(actual: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float | None]:
    every = {"mae": mean_absolute_error, "rmse": root_mean_squared_error, "r2": determination}
    scores = {name: score(actual, predicted) for name, score in every.items()}
    return {
        f"{name}{end}": value
        for name, score in scores.items()
        for end, value in (("", score.value), ("_low", score.low), ("_high", score.high))
    }
