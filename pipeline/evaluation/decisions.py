"""From probabilities to decisions: what is fitted and chosen on validation samples, and what it makes of test samples.

Labels and probabilities are those of `classes`. Nothing here sees a test label.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.classes import Floats, Mask
from pipeline.evaluation.curves import average_precision, roc_area
from pipeline.evaluation.temperature import fitted_temperature, sigmoid_loss, softmax_loss
from pipeline.evaluation.thresholds import Thresholds, chosen_thresholds

TINY = 1e-37
ROUNDED = 2.0**-24
"""A probability in float32 that is nearer to 1 is 1."""


def logits_of(probabilities: NDArray[Any], task: str) -> Floats:
    """Logits (N, C) that give these probabilities: of exclusive classes any constant may be added to them."""
    p = probabilities.astype(np.float64)
    if task != "multi":
        return np.log(np.maximum(p, TINY))
    p = np.clip(p, ROUNDED, 1 - ROUNDED)
    return np.log(p) - np.log1p(-p)


def temperature_of(labels: NDArray[Any], probabilities: NDArray[Any], task: str) -> float:
    """By which the logits of validation samples are divided for the smallest loss."""
    loss = sigmoid_loss if task == "multi" else softmax_loss
    return fitted_temperature(loss(logits_of(probabilities, task), labels.astype(np.float64)))


def at_temperature(probabilities: NDArray[Any], task: str, temperature: float) -> tuple[NDArray[np.float32], Floats]:
    """Probabilities (N, C) of logits that are divided by a temperature, and those logits."""
    z = logits_of(probabilities, task) / temperature
    if task == "multi":
        return (1 / (1 + np.exp(-z))).astype(np.float32), z
    z -= z.max(axis=1, keepdims=True)
    p = np.exp(z)
    return (p / p.sum(axis=1, keepdims=True)).astype(np.float32), z


def loss_of(labels: NDArray[Any], logits: Floats, task: str) -> float:
    """Mean cross-entropy in nats, of several labels their mean."""
    return (sigmoid_loss if task == "multi" else softmax_loss)(logits, labels.astype(np.float64))(1.0)


def thresholds_by(rule: str | None, labels: NDArray[Any], probabilities: NDArray[Any], task: str) -> Thresholds | None:
    """Of each label, or of the second of two classes, on validation samples; None: one half, or the most probable class."""
    if rule is None:
        return None
    if task == "multi":
        return chosen_thresholds(labels, probabilities.astype(np.float64), rule)
    return chosen_thresholds(labels[:, None] == 1, probabilities[:, 1:].astype(np.float64), rule)


def apart(labels: NDArray[Any], probabilities: NDArray[Any], classes: list[str]) -> Iterator[tuple[int, str, Mask, Floats]]:
    """Each class against the rest: its number and name, which samples are of it, and how probable it is in each.

    Of two exclusive classes the second alone: the first one's ROC is the same.
    """
    for i in range(1 if labels.ndim == 1 and len(classes) == 2 else 0, len(classes)):
        truth = labels[:, i] == 1 if labels.ndim == 2 else labels == i
        yield i, classes[i], truth, probabilities[:, i].astype(np.float64)


def areas(labels: NDArray[Any], probabilities: NDArray[Any], classes: list[str]) -> list[tuple[Any, ...]]:
    """Of each class against the rest: name, positives, area under ROC and average precision, with intervals."""
    rows = []
    for _, name, truth, scores in apart(labels, probabilities, classes):
        found = [each(truth, scores) for each in (roc_area, average_precision)]
        ends = [[None] * 3 if area is None else [area.value, area.low, area.high] for area in found]
        rows.append((name, int(truth.sum()), *ends[0], *ends[1]))
    return rows
