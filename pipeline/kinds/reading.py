"""A kind's way from contents to rows: what `prepare` asks of it.

Portions of samples are what is read, inspected and decoded. A kind that sees one sample at a time (`SampleReading`) is
the plain case, which `EachAlone` makes one of portions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.kinds.extended import extended
from pipeline.kinds.kind import BUILT_IN, BadSampleError, Content, Fit, Layout, loaded

Facts = NDArray[np.int64]
"""(N, NUM_FACTS): what the contents' headers say, in whole numbers."""


class Inspected(NamedTuple):
    """What is known of a portion's contents without decoding."""

    numbers: keyed.U64
    """(n,) content numbers; 0 for a content that can't be read."""
    facts: Facts
    """(n, NUM_FACTS); 0 for problems."""
    problems: dict[int, str]
    """By place in the portion: why a sample can't be taken."""
    survey: Any = None
    """What the kind wants to know of all contents together."""


class Decoded(NamedTuple):
    """A portion's rows."""

    rows: NDArray[Any] | list[list[NDArray[Any]]]
    """(n, *shape) or, unless the layout is plain, by sample the list of its rows; anything where there is a problem."""
    problems: dict[int, str]
    changed: int | None = None
    """Place of a content that is no longer the one of that number."""


class Laid(NamedTuple):
    """The layout of a whole dataset, and what to know of how it came about."""

    layout: Layout
    notes: list[str]


class Common(Protocol):
    """What all kinds have. Functions run in worker processes, too; `data`: the kind's own section."""

    NUM_FACTS: int
    """Whole numbers that inspecting gives; the last is the memory in bytes that decoding takes."""

    def max_bytes(self, data: Any) -> int:
        """A content of more is not read: no allowed sample needs as many."""

    def described(self, facts: Facts, data: Any) -> list[str]:
        """What the headers of all samples say, in lines for people, such as which sizes there are."""

    def fit(self, rows: Iterator[NDArray[Any]], layout: Layout) -> tuple[Fit, list[str]]:
        """What is learned from the training rows, and notes.

        rows: portions (n, *shape) or, where rows are ragged, the items of one row at a time, of those of more than 8 MB in
        parts, in an order that only contents decide.
        """


class SampleReading(Common, Protocol):
    """A kind that sees one sample at a time."""

    def inspect(self, content: Content, data: Any) -> tuple[int, ...]:
        """What a header says, without decoding; BadSampleError where the content is no sample of this kind."""

    def layout(self, facts: Facts, data: Any, name: Callable[[int], str]) -> Laid:
        """The layout of all rows from what the headers say; DataError where there is none. name: of a sample, to tell."""

    def decode(self, content: Content, data: Any, layout: Layout) -> NDArray[Any] | list[NDArray[Any]]:
        """A row of the layout or, where samples own windows, their list; BadSampleError where the content is damaged."""

    def from_cell(self, array: NDArray[Any], data: Any) -> NDArray[Any]:
        """An array of a table's cell as a content; BadSampleError where it can be none."""


class Reading(Common, Protocol):
    """A kind that sees portions of samples."""

    def inspect_batch(self, contents: Any, judged: NDArray[np.bool_], data: Any) -> Inspected:
        """What the contents say. judged (n,): samples that are given as val or test, or can't be taken: nothing may be
        learned of them that decides how the others are read."""

    def merged(self, one: Any, other: Any) -> Any:
        """Two surveys as one, the earlier portions' first."""

    def lay(self, facts: Facts, survey: Any, data: Any, name: Callable[[int], str]) -> Laid:
        """The layout of all rows, as `SampleReading.layout`; survey: of all portions."""

    def decode_batch(self, contents: Any, numbers: keyed.U64, data: Any, layout: Layout) -> Decoded:
        """The contents as rows; numbers (n,): those that they had when they were inspected."""


@dataclass
class EachAlone:
    """A kind that sees one sample at a time, as one of portions. It goes to other processes by name."""

    kind: str
    NUM_FACTS: int

    @property
    def _own(self) -> SampleReading:
        return sample_reading_of(self.kind)

    def max_bytes(self, data: Any) -> int:
        """As the kind's own; likewise `described` and `fit`."""
        return self._own.max_bytes(data)

    def described(self, facts: Facts, data: Any) -> list[str]:
        return self._own.described(facts, data)

    def fit(self, rows: Iterator[NDArray[Any]], layout: Layout) -> tuple[Fit, list[str]]:
        return self._own.fit(rows, layout)

    def inspect_batch(self, contents: Sequence[Content | None], judged: NDArray[np.bool_], data: Any) -> Inspected:
        """One after the other."""
        own, problems = self._own, dict[int, str]()
        numbers, facts = np.zeros(len(contents), np.uint64), np.zeros((len(contents), own.NUM_FACTS), np.int64)
        for i, content in enumerate(contents):
            try:
                if content is not None:
                    found = loaded(content)
                    numbers[i] = content_number(found)
                    facts[i] = own.inspect(found, data)
            except BadSampleError as bad:
                problems[i] = str(bad)
        return Inspected(numbers, facts, problems)

    def merged(self, one: None, other: None) -> None:
        """There are no surveys."""

    def lay(self, facts: Facts, survey: None, data: Any, name: Callable[[int], str]) -> Laid:
        return self._own.layout(facts, data, name)

    def decode_batch(self, contents: Sequence[Content], numbers: keyed.U64, data: Any, layout: Layout) -> Decoded:
        """One after the other."""
        own, problems, rows = self._own, dict[int, str](), list[list[NDArray[Any]]]()
        for i, content in enumerate(contents):
            rows.append([])
            try:
                found = loaded(content)
                if content_number(found) != numbers[i]:
                    return Decoded([], {}, i)
                decoded = own.decode(found, data, layout)
                rows[-1] = decoded if isinstance(decoded, list) else [decoded]
            except BadSampleError as bad:
                problems[i] = str(bad)
        return Decoded(_stacked(rows, layout) if layout.is_plain else rows, problems)


def _stacked(rows: list[list[NDArray[Any]]], layout: Layout) -> NDArray[Any]:
    """One row a sample; zeros where there is none."""
    values = np.zeros((len(rows), *layout.shape), layout.dtype)
    for place, own in zip(values, rows, strict=True):
        for row in own:
            assert (row.shape, row.dtype) == (layout.shape, layout.dtype)
            place[...] = row
    return values


def content_number(content: bytes | NDArray[Any]) -> int:
    """The number of a loaded content's raw bytes; of an array's as the smallest type that holds it, however it is stored."""
    if isinstance(content, bytes):
        return keyed.content_id(content)
    if content.dtype.kind in "iub":
        small = content.min() >= 0 and content.max() <= 255
        content = content.astype(np.uint8 if small else "<i8")
    return keyed.content_id(np.ascontiguousarray(content).tobytes())


def reading_of(kind: str) -> Reading:
    """How portions of a kind are read."""
    found = _named(kind)
    return cast(Reading, found) if hasattr(found, "inspect_batch") else EachAlone(kind, found.NUM_FACTS)


def in_threads(kind: Reading) -> bool:
    """Whether the kind's work on portions is nearly all done outside of the interpreter (`THREADS`, which it may have)."""
    return getattr(kind, "THREADS", False)


def sample_reading_of(kind: str) -> SampleReading:
    """How one sample of a kind is read, where samples are read one at a time."""
    return cast(SampleReading, _named(kind))


def _named(kind: str) -> Any:
    if kind in BUILT_IN:
        return import_module(f"pipeline.kinds.{kind}.reading")
    return extended(kind)
