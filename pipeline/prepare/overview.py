"""What is known of the data before anything is decoded: samples, layout, classes, splits. `build` and `regatta inspect` ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from pipeline.kinds.leaks import leaks_of
from pipeline.kinds.reading import Laid, reading_of
from pipeline.prepare import numbers
from pipeline.prepare.account import Refused, check_classes, check_reach, check_times
from pipeline.prepare.belonging import belonging_notes
from pipeline.prepare.classes import class_names, settled
from pipeline.prepare.labels import encoded
from pipeline.prepare.raw import NONE, Column, Source
from pipeline.prepare.scan import Samples, scan
from pipeline.prepare.selection import Taken, canonical, cells, split_samples, told_apart
from pipeline.prepare.splits import TEST, TRAIN, VAL, limited
from pipeline.prepare.times import Times, timed
from pipeline.schema.data import DataConfig
from pipeline.schema.prepare import PrepareConfig

Refusing = Callable[[dict[int, str]], Refused]
"""From the samples that were not taken, and why, to what is made of a refusal."""


@dataclass(frozen=True)
class Overview:
    """All samples of a source by what their headers, labels and other columns say."""

    source: Source
    samples: Samples
    times: Times | None
    """When each sample was, if that is what cuts the splits."""
    by_chance: bool
    """Whether contents may be equal although they are no copies."""
    notes: list[str]

    def without(self, problems: dict[int, str]) -> Overview:
        """The same where these samples can't be taken, either."""
        return replace(self, samples=replace(self.samples, problems=self.samples.problems | problems))


@dataclass(frozen=True)
class Division:
    """The classes of a dataset, and which samples are in which split."""

    classes: tuple[str, ...]
    labels: NDArray[Any]
    """Per set of labels among the samples' its class number, or 0s and 1s, or its numbers."""
    taken: Taken
    apart: Samples
    """The samples; where they are equal by chance, with a content number for each."""
    targets: list[str]
    """Names of the numbers, where numbers are predicted."""
    target_fit: dict[str, list[float]]
    """Their means and deviations in the training split."""


def overview_of(source: Source, data: DataConfig, workers: int) -> Overview:
    """The source's samples, read once."""
    samples = scan(source, reading_of(data.kind), data, workers)
    source, samples, notes = settled(source, samples, data.exclusive, data.target, data.decimal)
    leaks = leaks_of(data.kind)
    by_chance = leaks is not None and leaks.EQUAL_BY_CHANCE
    if data.group is None and not (samples.splits != NONE).any():
        notes += belonging_notes(source)
    if data.time is None:
        return Overview(source, samples, None, by_chance, notes)
    samples, times, told = timed(samples, data.time, data.day_first)
    return Overview(source, samples, times, by_chance, [*notes, *told])


def laid(samples: Samples, readable: Column, data: DataConfig) -> Laid:
    """How the samples without problems are stored."""

    def name(i: int) -> str:
        return samples.name(int(readable[i]))

    return reading_of(data.kind).lay(samples.facts[readable], samples.survey, data, name)


def selected(overview: Overview, prepare: PrepareConfig) -> tuple[Column, Column]:
    """The samples without problems in an order that only contents decide, and those of them that `prepare.limit` takes."""
    samples = overview.samples
    readable = canonical(samples, samples.good())
    by_cell = cells(samples, readable, overview.source.task)
    return readable, readable[limited(samples.contents[readable], by_cell, prepare.limit)]


def divided(overview: Overview, readable: Column, chosen: Column, prepare: PrepareConfig, refusing: Refusing) -> Division:
    """Classes and splits; DataError where there is nothing to learn, or to judge it by."""
    samples, source, times = overview.samples, overview.source, overview.times
    problems = samples.problems
    classes = class_names(source, samples, readable)
    labels = encoded(samples.label_sets, classes, source.task)
    targets = list(source.columns) if source.task == "number" else []
    if not targets:
        check_classes(samples, readable, classes, refusing(problems))
    if times:
        check_times(samples, chosen, times, _fractions(prepare), refusing(problems))
    strata = numbers.strata(labels, samples.labels[chosen]) if targets else labels
    apart, told = told_apart(samples, chosen) if overview.by_chance else (samples, [])
    taken = split_samples(apart, chosen, strata, classes, prepare, times)
    taken = replace(taken, notes=[*told, *taken.notes])
    check_left(taken, prepare, refusing(problems | taken.dropped))
    if not targets:
        return Division(classes, labels, taken, apart, [], {})
    train = labels[samples.labels[taken.index[taken.splits == TRAIN]]]
    return Division(classes, labels, taken, apart, targets, numbers.target_fit(train, targets, refusing(problems)))


def check_left(taken: Taken, prepare: PrepareConfig, refused: Refused) -> None:
    """DataError where a split that is wanted has no samples."""
    check_reach(taken, _fractions(prepare), refused)


def _fractions(prepare: PrepareConfig) -> dict[int, float]:
    return {TRAIN: 1.0, VAL: prepare.val_fraction, TEST: 1.0 if prepare.fold else prepare.test_fraction}
