"""At which probability a label is given: chosen on validation samples, by a rule that has a name (numpy alone)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.classes import Floats
from pipeline.evaluation.curves import Curve, curve_of

HALF = 0.5
RULE = re.compile(r"f1|(precision|recall)>=(0?\.\d+|1(\.0+)?)")
FEW_POSITIVES = 20
"""Labels with fewer validation samples share one threshold: of their own it would be chance."""


@dataclass(frozen=True)
class Thresholds:
    """Of each label, and what was not to be had."""

    values: Floats
    """(C,): a label is given where its probability is above this."""
    shared: list[int]
    """Labels that share one."""
    missed: list[int]
    """Labels of which no threshold reaches what was asked for: they have the one that comes nearest."""


def chosen_thresholds(labels: NDArray[np.generic], probabilities: Floats, rule: str) -> Thresholds:
    """By a rule, of labels (N, C) of 0 and 1 and probabilities (N, C) of validation samples."""
    num = np.asarray(labels, np.int64).sum(axis=0)
    few = np.flatnonzero((num < FEW_POSITIVES) | (num == len(labels)))
    values, missed = np.full(labels.shape[1], HALF), []
    for i in np.setdiff1d(np.arange(labels.shape[1]), few).tolist():
        values[i], reached = _threshold(labels[:, i], probabilities[:, i], rule)
        missed += [] if reached else [i]
    if len(few):
        values[few], reached = _threshold(labels[:, few].ravel(), probabilities[:, few].ravel(), rule)
        missed += [] if reached else few.tolist()
    return Thresholds(values, few.tolist(), sorted(missed))


def _threshold(labels: NDArray[np.generic], scores: Floats, rule: str) -> tuple[float, bool]:
    """Half way to the next score, so that no sample lies on it, and whether the rule is kept."""
    curve = curve_of(labels, scores)
    if curve is None:
        return HALF, rule == "f1"
    place, reached = _place(curve, rule)
    below = curve.thresholds[place + 1] if place + 1 < len(curve.thresholds) else 0.0
    return float((curve.thresholds[place] + below) / 2), reached


def _place(curve: Curve, rule: str) -> tuple[int, bool]:
    """Which point of the curve: the best F1, or the best recall (precision) of those that keep the precision (recall)."""
    if rule == "f1":
        return int((2 * curve.hits / (curve.hits[-1] + curve.hits + curve.false_alarms)).argmax()), True
    name, _, least = rule.partition(">=")
    kept, other = (curve.precision, curve.recall) if name == "precision" else (curve.recall, curve.precision)
    good = kept >= float(least)
    return (int(np.where(good, other, -1.0).argmax()), True) if good.any() else (int(kept.argmax()), False)


def risk_coverage(confidence: Floats, right: NDArray[np.generic]) -> tuple[Floats, Floats]:
    """Coverage and risk: the share of answers that are given where the least sure ones abstain, and the share wrong of them.

    Answers of equal confidence are given or not together (El-Yaniv and Wiener 2010).
    """
    order = np.argsort(-confidence, kind="stable")
    last = np.r_[np.flatnonzero(np.diff(confidence[order])), len(order) - 1]
    wrong = np.cumsum(1.0 - np.asarray(right, np.float64)[order])[last]
    return (last + 1) / len(order), wrong / (last + 1)
