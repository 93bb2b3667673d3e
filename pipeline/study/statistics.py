"""What the differences of a study say: paired over seeds, with intervals, two tests and a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics import Better

Interval = tuple[float, float]

LEVEL, CONFIDENCE = 0.05, 0.95
FEWEST_SEEDS = 3
RESAMPLES = 9999
ROUNDING = 1e-12
"""Of the values: differences that spread less are the same on every seed."""


@dataclass(frozen=True)
class Difference:
    """Of a variant from its reference, in the metric's own unit. Below 3 seeds there is only the mean, of no seeds nothing.

    With folds, what is said of seeds holds of folds: the difference of each is its mean over the seeds.
    """

    mean: float | None
    interval: Interval | None
    """Paired t interval; None also where the difference is the same on every seed."""
    p: float | None
    """Of no difference, two-sided."""
    p_equivalent: float | None
    """Of a difference of at least the margin, in either direction; None without a margin."""
    differences: tuple[float, ...]
    """Of each seed."""

    @property
    def num_seeds(self) -> int:
        """Seeds that both have finished."""
        return len(self.differences)


def paired_difference(
    variant: Sequence[float], reference: Sequence[float], margin: float | None = None, overlap: float = 0.0
) -> Difference:
    """The paired t interval and test (Student 1908), and equivalence within the margin.

    Equivalence is two one-sided paired t tests, p the larger of the two (TOST, Schuirmann 1987). Where the difference is the
    same on every seed, no t test exists and p is that of the sign-flip test (Fisher 1935): 2^(1-n), of equivalence 2^-n.
    The interval is over seeds: it says nothing about other samples.

    overlap: of folds, the number of a fold's samples over that of all others. Folds share most of the samples that they are
    trained on, so that their differences spread less than those of new samples would: the variance of the mean is that of a
    difference times 1/n + overlap instead of 1/n (Nadeau and Bengio 2003, "Inference for the generalization error"). Where the
    difference is the same in every fold, p is then 1.
    """
    one, other = np.asarray(variant, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    differences, num = one - other, len(one)
    each, mean = tuple(differences.tolist()), float(differences.mean()) if num else None
    if mean is None or num < FEWEST_SEEDS:
        return Difference(mean, None, None, None, each)
    rounding = ROUNDING * float(np.abs([one, other]).max())
    if np.ptp(differences) <= rounding:
        p = 1.0 if abs(mean) <= rounding or overlap else 2.0 ** (1 - num)
        inside = None if margin is None else 2.0**-num if abs(mean) < margin and not overlap else 1.0
        return Difference(mean, None, p, inside, each)
    from scipy import special

    error = float(differences.std(ddof=1)) * math.sqrt(1 / num + overlap) if overlap else _standard_error(differences)
    reach = float(special.stdtrit(num - 1, 0.5 + CONFIDENCE / 2)) * error
    p = float(2 * special.stdtr(num - 1, -abs(mean) / error))
    inside = None if margin is None else float(special.stdtr(num - 1, (abs(mean) - margin) / error))
    return Difference(mean, (mean - reach, mean + reach), p, inside, each)


def _standard_error(differences: NDArray[np.float64]) -> float:
    return float(differences.std(ddof=1)) / math.sqrt(len(differences))


def overlap_of(folds: int | None) -> float:
    """Of so many folds: one is tested, the others are what a run trains on and chooses its epoch by."""
    return 0.0 if folds is None else 1 / (folds - 1)


def bootstrap_interval(difference: Difference) -> Interval | None:
    """Of the mean over seeds: bias-corrected and accelerated (BCa, Efron 1987); None where there is no t interval either.

    The same for the same differences. With fewer than about 10 seeds it is too narrow: verdicts use the t test.
    """
    if difference.interval is None:
        return None
    from scipy import special

    differences, num = np.asarray(difference.differences), difference.num_seeds
    mean = differences.mean()
    picked = np.random.default_rng(0).integers(0, num, (RESAMPLES, num))
    means = differences[picked].mean(axis=1)
    bias = special.ndtri(((means < mean).mean() + (means <= mean).mean()) / 2)
    pulls = differences - mean
    acceleration = (pulls**3).sum() / (6 * (pulls**2).sum() ** 1.5)
    ends = bias + special.ndtri([0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    low, high = np.quantile(means, special.ndtr(bias + ends / (1 - acceleration * ends)))
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted for testing several variants (Holm 1979), in the given order."""
    order = np.argsort(p_values, kind="stable")
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def verdict(mean: float, p_holm: float | None, p_equivalent_holm: float | None, better: Better) -> str:
    """What the adjusted tests show at 5 %: "equivalent", "helps" or "hurts" ("more" or "less" where neither side is better).

    "equivalent" goes before a difference that is significant too: it is smaller than the margin, which says what matters.
    """
    if p_holm is None:
        return "too few seeds"
    if p_equivalent_holm is not None and p_equivalent_holm < LEVEL:
        return "equivalent"
    if p_holm >= LEVEL:
        return "no evidence"
    if better == "neither":
        return "more" if mean > 0 else "less"
    return "helps" if (mean < 0) == (better == "lower") else "hurts"
