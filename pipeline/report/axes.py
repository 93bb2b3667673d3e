"""What figures of runs and of studies have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.ticker import Formatter, LogLocator, NullLocator

from pipeline.report.words import number

MOST_DIGITS = 6
OFF = 0.02
"""Share of the distance between two ticks that is not seen."""


class Numbers(Formatter):
    """An axis's ticks in as few digits as they need."""

    def __call__(self, value: float, pos: int | None = None) -> str:
        return number(value, MOST_DIGITS)

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """Of all ticks of the axis."""
        return numbers(values)


def numbers(values: Sequence[float]) -> list[str]:
    """In so many digits that none is more than a small share of the distance to the next one off.

    In one digit 0.15, 0.2 and 0.25 would be 0.2 three times.
    """
    apart = OFF * min((abs(b - a) for a, b in pairwise(values)), default=math.inf)
    wanted = (digits for digits in range(1, MOST_DIGITS) if all(_off(value, digits) <= apart for value in values))
    digits = next(wanted, MOST_DIGITS)
    return [number(value, digits) for value in values]


def _off(value: float, digits: int) -> float:
    """By how much a number that is rounded to so many digits is another one."""
    return abs(float(f"{value:.{digits - 1}e}") - value)


def log_numbers(axes: Axes, which: str, ratio: float) -> None:
    """A log scale with plain numbers, for values whose largest is `ratio` times the smallest."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=(1.0,) if ratio > 300 else (1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(Numbers())
    axis.set_minor_locator(NullLocator())
