"""ROC and precision-recall curves of one decision, their areas and the areas' intervals (numpy alone).

N samples: `labels` (N,) 0 or 1, `scores` (N,), higher for 1. Samples of equal score are one point of a curve: no order among
them is made up, as in scikit-learn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.classes import Z95, Floats, Mask, wilson_interval


@dataclass(frozen=True)
class Curve:
    """By descending threshold: samples of a score of at least this are taken for 1. No point for a threshold above all."""

    thresholds: Floats
    hits: Floats
    """(P,) samples of label 1 at or above each threshold."""
    false_alarms: Floats
    """(P,) samples of label 0 at or above each threshold."""

    @property
    def precision(self) -> Floats:
        share: Floats = self.hits / (self.hits + self.false_alarms)
        return share

    @property
    def recall(self) -> Floats:
        """Of label 1; the true-positive rate of ROC."""
        share: Floats = self.hits / self.hits[-1]
        return share

    @property
    def false_rate(self) -> Floats:
        share: Floats = self.false_alarms / self.false_alarms[-1]
        return share


@dataclass(frozen=True)
class Area:
    """An area with its interval of 95 %."""

    value: float
    low: float
    high: float


def curve_of(labels: NDArray[np.generic], scores: Floats) -> Curve | None:
    """None where one of the two labels does not occur: nothing can be told apart."""
    truth = np.asarray(labels, bool)
    if truth.all() or not truth.any():
        return None
    order = np.argsort(-scores, kind="stable")
    last = np.r_[np.flatnonzero(np.diff(scores[order])), len(order) - 1]
    hits = np.cumsum(truth[order])[last].astype(np.float64)
    return Curve(scores[order][last].astype(np.float64), hits, last + 1.0 - hits)


def roc_area(labels: NDArray[np.generic], scores: Floats) -> Area | None:
    """The chance that a sample of label 1 scores higher than one of label 0, ties being half (Hanley and McNeil 1982).

    The interval is DeLong's (1988), over the logit, so that it stays within 0 and 1.
    """
    truth = np.asarray(labels, bool)
    if truth.all() or not truth.any():
        return None
    ones, zeros = np.sort(scores[truth]), np.sort(scores[~truth])
    above = _placed(zeros, scores[truth]) / len(zeros)
    below = 1 - _placed(ones, scores[~truth]) / len(ones)
    value = float(above.mean())
    spread = sum(float(part.var(ddof=1)) / len(part) for part in (above, below) if len(part) > 1)
    return _by_logit(value, spread**0.5, min(len(ones), len(zeros)))


def _placed(ordered: Floats, values: Floats) -> Floats:
    """How many of the ordered ones lie below each value, equal ones being half."""
    left, right = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    place: Floats = (left + right) / 2
    return place


def average_precision(labels: NDArray[np.generic], scores: Floats) -> Area | None:
    """The mean precision over the steps of recall, without interpolation (Manning et al. 2008), as scikit-learn has it.

    The interval is that of a share of the samples of label 1 (Boyd et al. 2013), by Wilson: over the logit one near 1 of few
    samples would be from 0 to 1.
    """
    curve = curve_of(labels, scores)
    if curve is None:
        return None
    value = min(1.0, float((np.diff(np.r_[0.0, curve.recall]) * curve.precision).sum()))
    num = int(curve.hits[-1])
    return Area(value, *wilson_interval(value * num, num))


def _by_logit(value: float, error: float, num: int) -> Area:
    """Where nothing is wrong (or right), Wilson's interval of so many samples: an error of 0 is only what these few show."""
    if not 0 < value < 1 or error == 0:
        return Area(value, *wilson_interval(value * num, num))
    half = Z95 * error / (value * (1 - value))
    low, high = (1 / (1 + np.exp(-(np.log(value / (1 - value)) + side * half))) for side in (-1, 1))
    return Area(value, float(low), float(high))


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
