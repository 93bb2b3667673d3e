"""What wrong answers and open ones cost, and how to answer for the least of it: chosen on validation samples (numpy alone).

An answer may be left open (Chow 1970): that is worth its price where the sample is not told apart. Labels and probabilities
are those of `classes`; of two classes the second is what a positive is. Of many classes each mistake is one of both sorts, so
both must cost the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.classes import Floats, Ints, Mask
from pipeline.evaluation.curves import curve_of
from pipeline.evaluation.thresholds import Cut, between

ROUNDED = 9
"""Decimals in which costs are compared: sums in another order are no difference."""


@dataclass(frozen=True)
class Costs:
    """In any unit, such as money."""

    false_positive: float
    false_negative: float
    abstain: float | None
    """Of an answer that is left open; None: every one is given."""

    def cut(self, labels: NDArray[np.generic], scores: Floats) -> Cut:
        """Of least cost on validation samples: labels (N,) of 0 and 1, scores (N,) probabilities.

        Samples of one label show nothing: then probabilities are taken at their word (Elkan 2001).
        """
        curve = curve_of(labels, scores)
        if curve is None:
            return self._by_chances()
        alarms, hits = np.r_[0.0, curve.false_alarms], np.r_[0.0, curve.hits]
        wrong_yes, wrong_no = self.false_positive * alarms, self.false_negative * (hits[-1] - hits)
        ends = between(curve.thresholds)
        if self.abstain is None:
            return Cut(float(ends[np.round(wrong_yes + wrong_no, ROUNDED).argmin()]))
        above, to = _open_between(wrong_yes, wrong_no, self.abstain * (alarms + hits))
        inside = slice(above, to + 1)
        at = above + int(np.round((wrong_yes + wrong_no)[inside], ROUNDED).argmin())
        return Cut(float(ends[at]), True, float(ends[to]), float(ends[above]))

    def _by_chances(self) -> Cut:
        """Of a probability p, a yes costs (1 - p) false positives and a no p false negatives."""
        half = self.false_positive / (self.false_positive + self.false_negative)
        if self.abstain is None:
            return Cut(half)
        low, high = self.abstain / self.false_negative, 1 - self.abstain / self.false_positive
        return Cut(half, True, min(low, half), max(high, half))

    def least_confidence(self, confidence: Floats, right: Mask) -> float | None:
        """Of many classes: the most probable one is answered where it is more probable than this; None: always."""
        if self.abstain is None:
            return None
        order = np.argsort(-confidence, kind="stable")
        last = np.r_[np.flatnonzero(np.diff(confidence[order])), len(order) - 1]
        wrong = self.false_positive * np.r_[0, np.cumsum(~right[order])[last]]
        cost = np.round(wrong + self.abstain * (len(order) - np.r_[0, last + 1]), ROUNDED)
        given = int(np.flatnonzero(cost == cost.min())[-1])  # of equal costs the one that answers most
        return float(between(confidence[order][last])[given])

    def of_samples(self, labels: NDArray[Any], predictions: Ints, left_open: Mask | None) -> Floats:
        """(N,) what each sample's answer costs, of several labels all of them together."""
        price = np.where(predictions > labels, self.false_positive, self.false_negative)
        costs = np.where(predictions == labels, 0.0, price)
        if left_open is not None:
            costs = np.where(left_open, self._open, costs)
        return costs.sum(axis=1) if costs.ndim == 2 else costs

    def of_constants(self, labels: NDArray[np.generic], num_classes: int) -> float:
        """Per sample, of the cheapest answer that is the same for all samples: yes, no or open, label by label if several."""
        if labels.ndim == 1 and num_classes > 2:
            most = np.bincount(np.asarray(labels, np.int64), minlength=num_classes).max() / len(labels)
            return min(self.false_positive * (1 - float(most)), self._open)
        shares = np.asarray(labels == 1, np.float64).mean(axis=0)
        of_answers = self.false_positive * (1 - shares), self.false_negative * shares
        return float(np.minimum(np.minimum(*of_answers), self._open).sum())

    @property
    def _open(self) -> float:
        return np.inf if self.abstain is None else self.abstain


def mistakes_in_words(classes: Sequence[str]) -> str:
    """Of two classes: which is the positive one, and what each sort of mistake is."""
    negative, positive = classes
    return (
        f"'{positive}' is the positive class, the second of the two: a false positive is '{negative}' taken for "
        f"'{positive}', a false negative '{positive}' taken for '{negative}'"
    )


def _open_between(wrong_yes: Floats, wrong_no: Floats, opened: Floats) -> tuple[int, int]:
    """Of places (L + 1,) in the order of falling probability: up to where it is a yes, and from where on a no.

    wrong_yes: cost of the false positives before each place. wrong_no: of the false negatives after it. opened: of leaving all
    before it open.
    """
    yes = np.round(wrong_yes - opened, ROUNDED)
    least = np.minimum.accumulate(yes)
    at = np.maximum.accumulate(np.where(yes == least, np.arange(len(yes)), 0))
    to = int(np.round(least + wrong_no + opened, ROUNDED).argmin())
    return int(at[to]), to
