"""What `regatta inspect` tells: what `prepare` would see and do, by its own functions, with a few samples decoded.

Where a kind reads portions (tables), all that are looked into are decoded: that takes hardly more.

Of much data every n-th sample is looked into, so that it takes seconds; labels and given splits are counted in all that is
met within the time for that. What was looked at is part of what is told.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import SPLITS
from pipeline.errors import DataError
from pipeline.kinds.keys import keys_of
from pipeline.kinds.kind import Fit, Layout
from pipeline.kinds.reading import EachAlone, Laid, reading_of
from pipeline.prepare.account import Refused, by_reason, check_quarantine, notes, tally
from pipeline.prepare.labels import encoded
from pipeline.prepare.overview import Division, Overview, divided, laid, overview_of, selected
from pipeline.prepare.parallel import num_workers
from pipeline.prepare.raw import Column, Portion, Source
from pipeline.prepare.scan import Samples
from pipeline.prepare.sources import open_source, source_of
from pipeline.prepare.writing import Decoded, decoded, portions
from pipeline.schema.data import DataConfig
from pipeline.schema.prepare import PrepareConfig
from pipeline.wording import share, some

MEETING_S = 10.0
"""For counting what there is."""
MOST_SAMPLES, MOST_BYTES = 50_000, 400 * 2**20
"""To be looked into."""
MOST_CLASSES, MOST_EXAMPLES = 20, 8
"""On the sheet."""
NAMED = 12
"""Classes in a line."""


@dataclass
class Met:
    """What is there, as far as labels and sizes tell."""

    num: int = 0
    num_bytes: int = 0
    labels: Counter[tuple[str, ...]] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    whole: bool = True
    """Whether there was time for all."""

    @property
    def every(self) -> int:
        """Every so many-th sample is looked into."""
        return max(1, -(-self.num // MOST_SAMPLES), -(-self.num_bytes // MOST_BYTES))


@dataclass(frozen=True)
class Examples:
    """A few samples of a class, as they would be stored."""

    label: str
    rows: list[NDArray[Any]]
    names: list[str]


@dataclass(frozen=True)
class Inspection:
    """What is told."""

    topics: list[tuple[str, list[str]]]
    """Lines by what they are about."""
    refusal: str | None
    """Why `prepare` would stop."""
    examples: list[Examples]
    fit: Fit
    """Learned of the examples alone."""


def inspected(data: DataConfig, prepare: PrepareConfig, workers: int | None = None) -> Inspection:
    """What `prepare` would see. Errors are those of a source that can't be opened; others are told."""
    source = open_source(data)
    met = _met(source)
    overview = overview_of(_sparse(source, met), data, workers or num_workers())
    seen = _Seen(data, prepare, met, overview)
    seen.look()
    return Inspection(seen.topics(), seen.refusals[0] if seen.refusals else None, seen.examples, seen.fit)


def _met(source: Source) -> Met:
    """All samples, or those that are met in time, without opening a file of theirs."""
    met, until = Met(), time.monotonic() + MEETING_S
    for portion in source.read():
        met.num += len(portion)
        met.num_bytes += int(portion.num_bytes.sum())
        met.labels.update(portion.labels)
        met.splits.update(split for split in portion.splits if split is not None)
        if time.monotonic() > until:
            met.whole = False
            break
    return met


def _sparse(source: Source, met: Met) -> Source:
    """The samples of a source that are looked into."""
    if met.whole and met.every == 1:
        return source

    def read() -> Iterator[Portion]:
        place = 0
        for portion in source.read():
            chosen = np.arange(-place % met.every, min(len(portion), met.num - place), met.every)
            if len(chosen):
                yield portion.taken(chosen)
            place += len(portion)
            if place >= met.num:
                return

    return replace(source, read=read, num_samples=-(-met.num // met.every))


class _Seen:
    """The steps of `prepare`, as far as they lead."""

    def __init__(self, data: DataConfig, prepare: PrepareConfig, met: Met, overview: Overview) -> None:
        self.data, self.prepare, self.met, self.overview = data, prepare, met, overview
        self.refusals: list[str] = []
        self.num_decoded = 0
        self.laid: Laid | None = None
        self.division: Division | None = None
        self.examples: list[Examples] = []
        self.fit: Fit = {}
        self.readable, self.chosen = selected(overview, prepare)

    def look(self) -> None:
        """Each step that can be done, whether the one before is refused or not."""
        for step in (self._count, self._lay, self._decode, self._divide):
            try:
                step()
            except DataError as refusal:
                self.refusals.append(str(refusal))

    def _count(self) -> None:
        """The reasons are told beside it."""
        samples, allowed = self.overview.samples, self.prepare.max_bad_fraction
        check_quarantine(samples, samples.problems, allowed, DataError, self.overview.source.hints, listed=False)

    def _lay(self) -> None:
        if len(self.readable):
            self.laid = laid(self.overview.samples, self.readable, self.data)

    def _divide(self) -> None:
        def refusing(reasons: dict[int, str]) -> Refused:
            return DataError

        if len(self.readable):
            self.division = divided(self.overview, self.readable, self.chosen, self.prepare, refusing)

    def _decode(self) -> None:
        """The first samples of each class, in an order that only contents decide; all where that is hardly more work."""
        if self.laid is None:
            return
        samples, kind, layout = self.overview.samples, reading_of(self.data.kind), self.laid.layout
        whole = not isinstance(kind, EachAlone)
        groups = {"samples": np.arange(len(self.readable))[: 2 * MOST_EXAMPLES]}
        groups = groups if self.overview.source.task == "number" else _first_of_each(samples, self.readable)
        chosen = {label: self.readable[own] for label, own in groups.items()}
        index = self.readable if whole else np.concatenate(list(chosen.values()))
        with tempfile.TemporaryDirectory(prefix="regatta-inspect-") as folder:
            scratch = Path(folder) / "decoded"
            contents = decoded(self.overview.source, samples, index, kind, self.data, layout, scratch, 1)
            self.overview, self.num_decoded = self.overview.without(contents.problems), len(index)
            self._check_decoded(len(contents.problems), whole)
            bad = list(contents.problems)
            index, self.readable, self.chosen = (each[~np.isin(each, bad)] for each in (index, self.readable, self.chosen))
            self.fit, _ = kind.fit(portions(contents, index, layout), layout)
            self.examples = [self._of_class(label, own, contents, layout) for label, own in chosen.items()]

    def _check_decoded(self, bad: int, whole: bool) -> None:
        """Whether so large a share of those that were decoded can't be taken that `prepare` would stop at the rest."""
        if whole:
            self._count()
        elif bad > self.prepare.max_bad_fraction * self.num_decoded:
            self.refusals.append(
                f"{share(bad, self.num_decoded)} samples that were decoded here can't be taken, more than "
                f"prepare.max_bad_fraction = {self.prepare.max_bad_fraction:g} allows; `prepare` decodes all"
            )

    def _of_class(self, label: str, index: Column, contents: Decoded, layout: Layout) -> Examples:
        own = [i for i in index.tolist() if i not in contents.problems]
        rows = [np.concatenate(list(portions(contents, np.array([i]), layout))) for i in own]
        return Examples(
            label, [row[0] if layout.is_plain else row for row in rows], [self.overview.samples.name(i) for i in own]
        )

    def topics(self) -> list[tuple[str, list[str]]]:
        """What is told, in this order."""
        samples = self.overview.samples
        found = [
            ("kind", [f"{self.data.kind} (data.source={self.data.source}{self._found()})"]),
            ("samples", self._counts()),
            ("numbers", self._numbers()),
            ("classes", self._classes()),
            ("splits", self._splits()),
            ("contents", self._contents()),
            ("stored as", self._stored()),
            ("not taken", by_reason(samples, samples.problems) if samples.problems else []),
            ("left out", self._left_out()),
            ("notes", self._notes()),
        ]
        return [(topic, lines) for topic, lines in found if lines]

    def _found(self) -> str:
        """What `auto` has found."""
        found = source_of(self.data)
        return "" if found == self.data.source else f": {found}"

    def _counts(self) -> list[str]:
        met, looked = self.met, len(self.overview.samples)
        first = f"{met.num:,}" if met.whole else f"the first {met.num:,}, which are counted; there are more"
        into = "all looked into" if looked == met.num else f"{looked:,} looked into, one of {met.every}"
        into += " and decoded" if self.num_decoded == looked else f", {self.num_decoded:,} of them decoded"
        bad = len(self.overview.samples.problems)
        return [f"{first} ({into})", *([f"{share(bad, looked)} can't be taken"] if bad else [])]

    def _numbers(self) -> list[str]:
        """The range of each number to predict."""
        samples, source = self.overview.samples, self.overview.source
        if source.task != "number" or not len(self.readable):
            return []
        values = encoded(samples.label_sets, (), "number")[samples.labels[self.readable]]
        columns = zip(source.columns, values.reshape(len(values), -1).T, strict=True)
        return [f"{name}: from {own.min():g} to {own.max():g}, mean {own.mean():g}" for name, own in columns]

    def _classes(self) -> list[str]:
        """Sizes, of all that was met where that is more than what was looked into."""
        if self.overview.source.task == "number":
            return []
        samples, num = self.overview.samples, Counter[str]()
        if len(samples) == self.met.num:
            num = tally(samples, np.arange(len(samples)))
        else:
            for labels, count in self.met.labels.items():
                num.update(dict.fromkeys(labels, count))
        named = [f"{name}: {count:,}" for name, count in sorted(num.items(), key=lambda item: (-item[1], item[0]))]
        several = "" if self.overview.source.task == "single" else ", of which a sample may have several"
        return [some(named, "class", NAMED) + several] if named else []

    def _splits(self) -> list[str]:
        if self.division is None:
            return (
                [f"given: {', '.join(f'{name} {num:,}' for name, num in self.met.splits.items())}"] if self.met.splits else []
            )
        counts = np.bincount(self.division.taken.splits, minlength=len(SPLITS)).tolist()
        how = "cut by time" if self.overview.times else "as given" if self.met.splits else "cut by content"
        of = "" if len(self.overview.samples) == self.met.num else ", of those looked into"
        return [f"{', '.join(f'{name} {num:,}' for name, num in zip(SPLITS, counts, strict=True))} ({how}{of})"]

    def _contents(self) -> list[str]:
        facts = self.overview.samples.facts[self.readable]
        return reading_of(self.data.kind).described(facts, self.data) if len(facts) else []

    def _stored(self) -> list[str]:
        if self.laid is None:
            return []
        layout = self.laid.layout
        if own := keys_of(self.data.kind).DATA.form(layout.shape, None):
            return [f"{own}, several a sample" if layout.windows else own]
        shape = " x ".join(map(str, layout.shape)) or "one number"
        per = "an item" if layout.ragged else "a row" if layout.windows else "a sample"
        return [f"{shape} of {layout.dtype.name} {per}"]

    def _left_out(self) -> list[str]:
        if self.division is None or not self.division.taken.dropped:
            return []
        return by_reason(self.overview.samples, self.division.taken.dropped)

    def _notes(self) -> list[str]:
        found = [*self.overview.source.notes, *self.overview.notes, *(self.laid.notes if self.laid else [])]
        if self.division is None:
            return found
        samples, taken, classes = self.division.apart, self.division.taken, self.division.classes
        return [*found, *notes(samples, self.readable, self.chosen, taken, classes, [])]


def _first_of_each(samples: Samples, index: Column) -> dict[str, Column]:
    """Places in `index` of the first samples of each class, or set of labels, the most frequent ones first."""
    labels = samples.labels[index]
    codes, counts = np.unique(labels, return_counts=True)
    largest = codes[np.argsort(-counts, kind="stable")][:MOST_CLASSES].tolist()
    named = {code: " + ".join(samples.label_sets[code]) or "no label" for code in largest}
    return {named[code]: np.flatnonzero(labels == code)[:MOST_EXAMPLES] for code in largest}
