"""A kind's way from contents to rows: what `prepare` asks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.kinds.extended import extended
from pipeline.kinds.kind import BUILT_IN, Content, Fit, Layout

Facts = NDArray[np.int64]
"""(N, NUM_FACTS): what the contents' headers say, in whole numbers."""


class Laid(NamedTuple):
    """The layout of a whole dataset, and what to know of how it came about."""

    layout: Layout
    notes: list[str]


class Reading(Protocol):
    """Functions that run in worker processes, too; `data`: the kind's own section."""

    NUM_FACTS: int
    """Whole numbers that `inspect` gives; the last is the memory in bytes that decoding takes."""

    def max_bytes(self, data: Any) -> int:
        """A content of more is not read: no allowed sample needs as many."""

    def inspect(self, content: Content, data: Any) -> tuple[int, ...]:
        """What a header says, without decoding; BadSampleError where the content is no sample of this kind."""

    def layout(self, facts: Facts, data: Any, name: Callable[[int], str]) -> Laid:
        """The layout of all rows from what the headers say; DataError where there is none. name: of a sample, to tell."""

    def decode(self, content: Content, data: Any, layout: Layout) -> NDArray[Any] | list[NDArray[Any]]:
        """A row of the layout or, where samples own windows, their list; BadSampleError where the content is damaged."""

    def fit(self, rows: Iterator[NDArray[Any]], layout: Layout) -> tuple[Fit, list[str]]:
        """What is learned from the training rows, and notes.

        rows: portions (n, *shape) or, where rows are ragged, of their items, in an order that only contents decide.
        """

    def from_cell(self, array: NDArray[Any], data: Any) -> NDArray[Any]:
        """An array of a table's cell as a content; BadSampleError where it can be none."""


def reading_of(kind: str) -> Reading:
    """How contents of a kind are read."""
    if kind in BUILT_IN:
        return cast(Reading, import_module(f"pipeline.kinds.{kind}.reading"))
    return cast(Reading, extended(kind))
