"""At which probability a label is given: chosen on validation samples, by a rule that has a name (numpy alone)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.classes import Floats, Ints
from pipeline.evaluation.curves import Curve, curve_of

HALF = 0.5
FEW_POSITIVES = 20
"""Labels with fewer validation samples share one threshold: of their own it would be chance."""


@dataclass(frozen=True)
class Cut:
    """Of one label: which probabilities are a yes, and which are left open."""

    threshold: float
    """Yes above it."""
    kept: bool = True
    """Whether the rule is kept on validation samples; if not, this comes nearest."""
    open_above: float | None = None
    """Left open above this and up to `open_to`, which `threshold` lies between; None: nothing is."""
    open_to: float | None = None


CutOf = Callable[[NDArray[np.generic], Floats], Cut]
"""From labels (N,) of 0 and 1 and scores (N,) of validation samples."""


@dataclass(frozen=True)
class Thresholds:
    """Of each label, and what was not to be had."""

    cuts: list[Cut]
    positives: Ints
    """(C,) validation samples that carry each label."""
    shared: list[int]
    """Labels that share one."""

    @property
    def values(self) -> Floats:
        """(C,): a label is given where its probability is above this."""
        return np.array([cut.threshold for cut in self.cuts])

    @property
    def missed(self) -> list[int]:
        """Labels of which no threshold reaches what was asked for: they have the one that comes nearest."""
        return [i for i, cut in enumerate(self.cuts) if not cut.kept]


def chosen_thresholds(labels: NDArray[np.generic], probabilities: Floats, cut_of: CutOf) -> Thresholds:
    """By a rule, of labels (N, C) of 0 and 1 and probabilities (N, C) of validation samples."""
    num = np.asarray(labels, np.int64).sum(axis=0)
    few = np.flatnonzero((num < FEW_POSITIVES) | (num == len(labels)))
    shared = cut_of(labels[:, few].ravel(), probabilities[:, few].ravel()) if len(few) else None
    cuts = [shared if shared and i in few else cut_of(labels[:, i], probabilities[:, i]) for i in range(labels.shape[1])]
    return Thresholds(cuts, num, few.tolist())


def by_rule(rule: str) -> CutOf:
    """f1, precision>=SHARE or recall>=SHARE."""

    def cut(labels: NDArray[np.generic], scores: Floats) -> Cut:
        """Half way to the next score, so that no sample lies on it."""
        curve = curve_of(labels, scores)
        if curve is None:
            return Cut(HALF, rule == "f1")
        place, kept = _place(curve, rule)
        return Cut(float(between(curve.thresholds)[place + 1]), kept)

    return cut


def between(levels: Floats) -> Floats:
    """(L + 1,) thresholds above, between and below descending probabilities (L,): half way, so that none lies on one."""
    padded = np.r_[1.0, levels, 0.0]
    ends: Floats = (padded[1:] + padded[:-1]) / 2
    return ends


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


def risk_area(coverage: Floats, risk: Floats) -> float:
    """The mean risk over all coverages (AURC: Geifman et al. 2019); of answers in no order it is the risk of all."""
    return float((np.diff(np.r_[0.0, coverage]) * risk).sum())
