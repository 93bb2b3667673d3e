"""What a source hands over: samples with lazy contents, and what keeps one from being taken. Knows nothing of kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import Task
from pipeline.kinds.kind import Content, Contents

PORTION_SAMPLES, PORTION_BYTES = 128, 8 * 2**20
NONE = -1
Column = NDArray[np.int64]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Said(Sequence[Value], Generic[Value]):
    """What samples say, each different value once: most say the same as others."""

    values: list[Value]
    """In the order in which they are first said."""
    codes: Column
    """(n,) places in `values`."""

    @classmethod
    def of(cls, each: Iterable[Value]) -> Said[Value]:
        """From the value of each sample."""
        known: dict[Value, int] = {}
        codes = np.array([known.setdefault(value, len(known)) for value in each], np.int64)
        return cls(list(known), codes)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, i: int) -> Value:  # type: ignore[override]
        return self.values[int(self.codes[i])]

    def __iter__(self) -> Iterator[Value]:
        return map(self.values.__getitem__, self.codes.tolist())

    def taken(self, places: Column) -> Said[Value]:
        """By these samples."""
        return Said(self.values, self.codes[places])


class Raw(NamedTuple):
    """One sample as the user has it."""

    source: str
    """File that it comes from, relative to the data's folder."""
    row: int | None
    """Row in that file, counted as the format's users do; None where the file is the sample."""
    labels: tuple[str, ...]
    """One label, or any number where a sample may have several; of numbers each one's text, in the order of their names."""
    content: Content | None
    num_bytes: int
    """Size of the content before decoding."""
    split: str | None = None
    """The given split."""
    group: str | None = None
    time: str | None = None
    """What the column of times says."""
    problem: str | None = None
    """Why the source itself can't give this sample."""


@dataclass(frozen=True)
class Portion:
    """Some samples as the user has them, one after the other: a column for each field of `Raw`."""

    sources: Said[str]
    rows: Column
    """NONE where the file is the sample."""
    labels: Said[tuple[str, ...]]
    contents: Contents
    num_bytes: Column
    splits: Said[str | None]
    groups: Said[str | None]
    times: Said[str | None]
    problems: dict[int, str]
    """By place in the portion."""

    def __len__(self) -> int:
        return len(self.sources)

    def taken(self, places: Column) -> Portion:
        """The samples at these places, which may repeat."""
        told = enumerate(places.tolist()) if self.problems else ()
        return Portion(
            sources=self.sources.taken(places),
            rows=self.rows[places],
            labels=self.labels.taken(places),
            contents=[self.contents[i] for i in places.tolist()]
            if isinstance(self.contents, list)
            else self.contents.take(places),
            num_bytes=self.num_bytes[places],
            splits=self.splits.taken(places),
            groups=self.groups.taken(places),
            times=self.times.taken(places),
            problems={i: self.problems[place] for i, place in told if place in self.problems},
        )

    def parts(self, weights: Sequence[int]) -> Iterator[range]:
        """Places cut into parts that are handy by number and weight."""
        first, weight = 0, 0
        for i, own in enumerate(weights):
            if i > first and weight + own > PORTION_BYTES:
                yield range(first, i)
                first, weight = i, 0
            weight += own
        if first < len(weights):
            yield range(first, len(weights))


def portion_of(raws: Sequence[Raw]) -> Portion:
    """Samples as one portion."""
    sources, rows, labels, contents, num_bytes, splits, groups, times, problems = zip(*raws, strict=True)
    told = {i: said for i, said in enumerate(problems) if said is not None}
    numbers = np.array([NONE if row is None else row for row in rows], np.int64)
    beside = Said.of(splits), Said.of(groups), Said.of(times)
    sizes = np.array(num_bytes, np.int64)
    return Portion(Said.of(sources), numbers, Said.of(labels), list(contents), sizes, *beside, told)


def portioned(read: Callable[[], Iterable[Raw]]) -> Callable[[], Iterator[Portion]]:
    """From a reader of samples one after the other, one of portions that are handy by number and size."""
    return lambda: _portions(read())


def _portions(raws: Iterable[Raw]) -> Iterator[Portion]:
    portion: list[Raw] = []
    size = 0
    for raw in raws:
        portion.append(raw)
        size += raw.num_bytes
        if len(portion) == PORTION_SAMPLES or size >= PORTION_BYTES:
            yield portion_of(portion)
            portion, size = [], 0
    if portion:
        yield portion_of(portion)


@dataclass(frozen=True)
class Source:
    """All samples of a place: `read` gives the same ones in the same order each time it is called."""

    task: Task
    read: Callable[[], Iterator[Portion]]
    num_samples: int | None
    """None where counting would mean reading."""
    classes: tuple[str, ...] | None
    """Names in the order that the source declares; None: those that occur, sorted."""
    notes: tuple[str, ...] = ()
    switches: int | None = None
    """Where the labels come from columns or lists of 0 and 1: how many; None: they are names."""
    columns: tuple[str, ...] = ()
    """Of the labels, where they have names."""
    hints: tuple[str, ...] = ()
    """Lines to say where too many samples can't be taken: what may be meant, with commands."""
    cells: Callable[[], Iterable[Mapping[str, object]]] | None = None
    """Of a table: by row the simple cells of the columns that mean nothing else."""
