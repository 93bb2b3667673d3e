"""What the differences of a study say: paired over seeds, with an interval, a test and a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
FEWEST_SEEDS = 3


@dataclass(frozen=True)
class Difference:
    """Of a variant from the baseline, in the metric's own unit."""

    mean: float
    interval: tuple[float, float] | None
    p: float | None
    num_seeds: int


def paired_difference(variant: Sequence[float], baseline: Sequence[float]) -> Difference:
    """Mean of the differences of seeds, with the paired t interval and test (Student 1908); none below 3 seeds.

    The interval is over seeds: it says nothing about other test samples.
    """
    differences = np.asarray(variant, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    num = len(differences)
    mean = float(differences.mean()) if num else math.nan
    if num < FEWEST_SEEDS:
        return Difference(mean, None, None, num)
    error = float(differences.std(ddof=1)) / math.sqrt(num)
    reach = float(stats.t.ppf(0.5 + CONFIDENCE / 2, num - 1)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, num - 1)) if error > 0 else float(mean == 0)
    return Difference(mean, (mean - reach, mean + reach), p, num)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted for testing several variants (Holm 1979), in the given order."""
    order = np.argsort(p_values, kind="stable")
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def verdict(difference: float, p_holm: float | None) -> str:
    """helps or hurts where the adjusted test rejects at 5 %; a smaller value of the metric (a loss) is better."""
    if p_holm is None:
        return "too few seeds"
    if p_holm >= 1 - CONFIDENCE:
        return "no evidence"
    return "helps" if difference < 0 else "hurts"
