"""How far predicted numbers are off: pure functions of N samples' actual and predicted numbers (N, T) (numpy alone).

Of several numbers each metric is the mean over them: whoever asks brings them to one unit. Intervals are of 95 %, over other
samples of the same source: Student's of a mean, and by the delta method of what is a smooth function of means (Cramér 1946,
chapter 28).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.classes import Floats

LEVEL = 0.975
RANGES = 5


@dataclass(frozen=True)
class Score:
    """A metric and its interval; None where there are too few samples for one, or they are all alike."""

    value: float | None
    low: float | None
    high: float | None


def mean_absolute_error(actual: Floats, predicted: Floats) -> Score:
    """In the numbers' unit."""
    return interval_of_mean(np.abs(actual - predicted).mean(axis=1))


def root_mean_squared_error(actual: Floats, predicted: Floats) -> Score:
    """In the numbers' unit; large errors count for more."""
    squares = interval_of_mean(((actual - predicted) ** 2).mean(axis=1))
    return Score(*(None if value is None else value**0.5 for value in (squares.value, squares.low, squares.high)))


def determination(actual: Floats, predicted: Floats) -> Score:
    """R2, the share of the variance that is explained; 0 is what the mean reaches. No value where all of a number are equal."""
    squares, spread = (actual - predicted) ** 2, ((actual - actual.mean(axis=0)) ** 2).mean(axis=0)
    if not spread.all():
        return Score(None, None, None)
    left = squares.mean(axis=0) / spread
    changes = (squares - left * (actual - actual.mean(axis=0)) ** 2) / spread
    value, half = float(1 - left.mean()), _half_width(changes.mean(axis=1))
    return Score(value, None, None) if half is None else Score(value, value - half, min(1.0, value + half))


def error_ranges(names: Sequence[str], actual: Floats, predicted: Floats) -> list[tuple[str, float, float, int, float, float]]:
    """By fifths of the actual numbers, of each target: name, from, to, how many, how far off, and to which side."""
    rows = []
    for name, own, said in zip(names, actual.T, predicted.T, strict=True):
        edges = np.unique(np.quantile(own, np.linspace(0, 1, RANGES + 1)))
        place = np.clip(np.searchsorted(edges, own, side="right") - 1, 0, max(0, len(edges) - 2))
        for i in np.unique(place):
            here, errors = own[place == i], (said - own)[place == i]
            off, bias = float(np.abs(errors).mean()), float(errors.mean())
            rows.append((name, float(here.min()), float(here.max()), len(here), off, bias))
    return rows


def interval_of_mean(values: Floats) -> Score:
    """Of values (N,) that are not negative."""
    mean, half = float(values.mean()), _half_width(values)
    return Score(mean, None, None) if half is None else Score(mean, max(0.0, mean - half), mean + half)


def interval_of_difference(values: Floats) -> Score:
    """Of values (N,) of any sign, each a difference of one sample."""
    mean, half = float(values.mean()), _half_width(values)
    return Score(mean, None, None) if half is None else Score(mean, mean - half, mean + half)


def _half_width(values: Floats) -> float | None:
    """Of the interval of a mean."""
    from scipy import special

    num = len(values)
    return None if num < 2 else float(special.stdtrit(num - 1, LEVEL) * values.std(ddof=1) / num**0.5)
