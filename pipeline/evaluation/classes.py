"""How good predictions are: metrics as pure functions of labels and probabilities (numpy alone).

N samples, C classes. Task "single": labels (N,) class numbers, probabilities (N, C) that sum to one. Task "multi":
labels (N, C) of 0 and 1, probabilities (N, C), each on its own. A decision is what is right or wrong: one per sample
in "single", one per sample and label in "multi".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Z95 = 1.959963984540054
"""Normal quantile of a two-sided interval of 95 %."""


@dataclass(frozen=True)
class Bins:
    """Decisions by confidence, in equal-width bins of (0, 1]; empty bins have NaN means."""

    edges: Floats
    counts: Ints
    confidence: Floats
    """Mean confidence per bin."""
    accuracy: Floats
    """Share of right decisions per bin."""


@dataclass(frozen=True)
class ClassScores:
    """Per class, each (C,)."""

    precision: Floats
    recall: Floats
    f1: Floats
    support: Ints
    """Samples that carry the label."""
    predicted: Ints
    """Samples that were given the label."""


def predicted_labels(probabilities: NDArray[Any], task: str, thresholds: Floats | None = None) -> Ints:
    """The most probable class (N,), the first among equals; or for "multi" 1 where above one half (N, C).

    thresholds: of each label (C,), or of the second of two classes (1,), in place of one half.
    """
    if task == "multi":
        return np.asarray(probabilities > (0.5 if thresholds is None else thresholds), np.int64)
    if thresholds is not None:
        return np.asarray(probabilities[:, 1] > thresholds[0], np.int64)
    return np.asarray(probabilities.argmax(axis=1), np.int64)


def decision_confidence(probabilities: NDArray[Any], predictions: Ints) -> Floats:
    """The probability given to each decision taken: (N,), or for "multi" (N, C) of p or 1 - p."""
    p = probabilities.astype(np.float64)
    if predictions.ndim == 2:
        return np.where(predictions == 1, p, 1 - p)
    return p[np.arange(len(p)), predictions]


def sample_confidence(probabilities: NDArray[Any], predictions: Ints) -> Floats:
    """The probability (N,) that the model gives to its whole answer: for "multi" the product over the labels."""
    confidence = decision_confidence(probabilities, predictions)
    return confidence.prod(axis=1) if confidence.ndim == 2 else confidence


def sample_accuracy(labels: NDArray[Any], predictions: NDArray[Any]) -> Floats:
    """The share of a sample's decisions that are right (N,): 0 or 1 for "single"."""
    right: Floats = (labels == predictions).astype(np.float64)
    return np.asarray(right.mean(axis=1)) if right.ndim == 2 else right


def exact_match(labels: NDArray[Any], predictions: NDArray[Any]) -> float:
    """The share of samples whose decisions are all right (subset accuracy)."""
    return float((sample_accuracy(labels, predictions) == 1.0).mean())


def wilson_interval(num_right: float, num: int, z: float = Z95) -> tuple[float, float]:
    """Interval of a share (Wilson 1927): never empty, never beyond 0..1, fair for small numbers and shares near 1.

    `num_right` may be a sum of values between 0 and 1 (`sample_accuracy` of several labels); the interval is then wide
    enough too, since such values vary less than zeros and ones of the same mean.
    """
    share = num_right / num
    centre = (share + z * z / (2 * num)) / (1 + z * z / num)
    half = z / (1 + z * z / num) * math.sqrt(share * (1 - share) / num + z * z / (4 * num * num))
    return (0.0 if num_right == 0 else max(0.0, centre - half), 1.0 if num_right == num else min(1.0, centre + half))


def confusion_matrix(labels: Ints, predictions: Ints, num_classes: int) -> Ints:
    """Counts (C, C): row = actual class, column = predicted class. Task "single"."""
    flat = np.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes).astype(np.int64)


def label_confusion(labels: NDArray[Any], predictions: NDArray[Any]) -> Ints:
    """Counts (C, 2, 2) per label: [absent, present] actual, then predicted. Task "multi"."""
    actual, given = labels.astype(bool), predictions.astype(bool)
    counts = [[(a & g).sum(axis=0) for g in (~given, given)] for a in (~actual, actual)]
    return np.moveaxis(np.array(counts), 2, 0).astype(np.int64)


def class_scores(labels: NDArray[Any], predictions: NDArray[Any], num_classes: int) -> ClassScores:
    """Precision, recall and F1 of each class; 0 where nothing was predicted or nothing was there."""
    if labels.ndim == 2:
        counts = label_confusion(labels, predictions)
        right, support, predicted = counts[:, 1, 1], counts[:, 1].sum(axis=1), counts[:, :, 1].sum(axis=1)
    else:
        matrix = confusion_matrix(labels, predictions, num_classes)
        right, support, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    f1 = _share(2 * right, support + predicted)
    return ClassScores(_share(right, predicted), _share(right, support), f1, support, predicted)


def micro_f1(labels: NDArray[Any], predictions: NDArray[Any]) -> float:
    """F1 of all decisions of several labels (N, C) together; 0 where nothing is there or predicted."""
    right, named = int((labels * predictions).sum()), int(labels.sum(dtype=np.int64) + predictions.sum())
    return 2 * right / named if named else 0.0


def macro_f1(scores: ClassScores) -> float:
    """Mean F1 over the classes that occur among labels or predictions."""
    occurs = (scores.support + scores.predicted) > 0
    return float(scores.f1[occurs].mean()) if occurs.any() else 0.0


def balanced_accuracy(scores: ClassScores) -> float:
    """Mean recall over the classes that occur among the labels."""
    return float(scores.recall[scores.support > 0].mean())


def reliability_bins(confidence: Floats, right: NDArray[Any], num_bins: int) -> Bins:
    """Decisions in equal-width bins of confidence, each closed on its right side (Guo et al. 2017)."""
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    index = np.searchsorted(edges[1:-1], confidence)
    counts = np.bincount(index, minlength=num_bins).astype(np.int64)
    sums = [np.bincount(index, weights=values, minlength=num_bins) for values in (confidence, right.astype(np.float64))]
    means = [np.divide(s, counts, out=np.full(num_bins, np.nan), where=counts > 0) for s in sums]
    return Bins(edges, counts, means[0], means[1])


def calibration_error(bins: Bins) -> float:
    """Expected calibration error (Naeini et al. 2015): the mean over decisions of |accuracy - confidence| of their bin."""
    gaps = np.nan_to_num(np.abs(bins.accuracy - bins.confidence))
    return float((gaps * bins.counts).sum() / bins.counts.sum())


def _share(part: Ints, whole: Ints) -> Floats:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
