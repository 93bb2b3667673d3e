"""Parts of a sample that are hidden one at a time, so that it is seen what an answer came from.

A kind may lack this part; then nothing is said of where its answers come from.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.kinds.extended import extended
from pipeline.kinds.kind import BUILT_IN, Fit

MOST_PARTS = 256
"""Of a sample: each costs a pass through the network, or several."""
CELLS, REACH = 8, 2
"""Cells along a side of what has two; a square reaches over so many of them each way, so that neighbours overlap by half
and what lies between two cells is hidden whole by one."""


class Occlusion(Protocol):
    """How a kind hides parts of a row, as stored."""

    HIDDEN: str
    """What is done to a part, for people: "each word was left out"."""
    DRAWS: int
    """Training rows from which a hidden part is filled in, one copy for each; 0: it is hidden in one way. With them `hidden`
    takes several rows (n, *shape) of one shape at once, each with its own other one."""

    def num_parts(self, row: NDArray[Any], fit: Fit) -> int:
        """Parts of a row, about MOST_PARTS at most; 0: none can be hidden."""

    def hidden(self, row: NDArray[Any], part: int, fit: Fit, other: Any) -> NDArray[Any]:
        """The row as stored without what this part says; other: training rows, None where DRAWS is 0."""


class NamedParts(Occlusion, Protocol):
    """Of a kind whose parts are the same ones in all rows: columns that are filled in from other rows."""

    def part_names(self, fit: Fit) -> list[str]:
        """What each part is called."""


def occlusion_of(kind: str) -> Occlusion | None:
    """How a kind hides parts; None where it does not say. ConfigError where it says half of it."""
    if kind in BUILT_IN:
        return cast(Occlusion, import_module(f"pipeline.kinds.{kind}.occlusion"))
    found = extended(kind)
    needed = ("HIDDEN", "DRAWS", "num_parts", "hidden", "shown_parts")
    lacking = [name for name in needed if not hasattr(found, name)]
    if lacking and len(lacking) < len(needed):
        raise ConfigError(
            f"data.kind = {kind!r}: it can hide parts of a sample, but lacks {', '.join(lacking)} (docs/kinds.md); or say "
            "evaluate.explain=0"
        )
    return None if lacking else cast(Occlusion, found)


def part_names(occlusion: Occlusion, fit: Fit) -> list[str]:
    """What parts are called where they are the same ones in all rows; else none."""
    return cast(NamedParts, occlusion).part_names(fit) if hasattr(occlusion, "part_names") else []


class Square(NamedTuple):
    """Rows [top, bottom) and columns [left, right) of what has two sides."""

    top: int
    bottom: int
    left: int
    right: int


def squares(high: int, wide: int) -> list[Square]:
    """The parts of what has two sides, row after row."""
    return [Square(*down, *across) for down in _steps(high) for across in _steps(wide)]


def _steps(size: int) -> list[tuple[int, int]]:
    """Ends of overlapping stretches that cover a side."""
    num = min(CELLS, size)
    reach = min(REACH, num)
    edges = np.rint(np.linspace(0, size, num + 1)).astype(int).tolist()
    return [(edges[i], edges[i + reach]) for i in range(num - reach + 1)]
