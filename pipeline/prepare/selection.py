"""Which samples the dataset takes and into which split: the rules of `splits` applied to scanned samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.data.dataset import FEW, SPLITS
from pipeline.errors import ConfigError
from pipeline.prepare.folds import TIMELESS, check_enough, dealt
from pipeline.prepare.raw import Column
from pipeline.prepare.scan import Samples
from pipeline.prepare.splits import NONE, TEST, TRAIN, VAL, assigned, by_time, conflicts, group_strata, straddlers
from pipeline.prepare.times import Times, far_from_asked, time_notes
from pipeline.schema.prepare import PrepareConfig
from pipeline.wording import counted, share, so_many, some

MANY, SOME = 0.1, 0.01
"""Shares: of samples that have the content of another one, and of such contents those that bear several labels."""


@dataclass(frozen=True)
class Taken:
    """The samples of the dataset, in an order that only their contents decide."""

    index: Column
    """(T,) positions among the source's samples."""
    splits: Column
    """(T,) positions in SPLITS."""
    dropped: dict[int, str]
    """By position among the source's samples: why a readable sample is in no split."""
    notes: list[str]


def canonical(samples: Samples, index: Column) -> Column:
    """The samples sorted by content, given split and label; only exact copies of equal label keep the source's order."""
    rank = np.empty(len(samples.label_sets), np.int64)
    rank[sorted(range(len(rank)), key=lambda code: samples.label_sets[code])] = np.arange(len(rank))
    return index[np.lexsort((index, rank[samples.labels[index]], samples.splits[index], samples.contents[index]))]


def told_apart(samples: Samples, index: Column) -> tuple[Samples, list[str]]:
    """The samples with a content number for each, where many are equal by chance: then they are no copies; and a note.

    Copies bear one label. So equal rows are taken as samples of their own if there are many of them and of these, by
    content, some bear several.
    """
    contents = samples.contents[index]
    _, counts = np.unique(contents, return_counts=True)
    repeated = int(counts[counts > 1].sum())
    disputed = conflicts(contents, samples.labels[index])
    if repeated < MANY * len(index) or len(np.unique(contents[disputed])) < SOME * (counts > 1).sum():
        return samples, []
    own = samples.contents.copy()
    own[index] = keyed.sample_ids(contents)
    note = (
        f"{share(repeated, len(index))} samples have the content of another one, often with another label: they are taken as "
        "equal by chance, no copies, and may be in different splits"
    )
    return replace(samples, contents=own), [note]


def cells(samples: Samples, index: Column, task: str) -> Column:
    """Number (N,) of the given split and, where a sample has one class, of that class."""
    of_class = samples.labels[index] if task == "single" else 0
    return (samples.splits[index] + 1) + (len(SPLITS) + 1) * of_class


def split_samples(
    samples: Samples,
    chosen: Column,
    labels: NDArray[Any],
    classes: tuple[str, ...],
    prepare: PrepareConfig,
    times: Times | None = None,
) -> Taken:
    """Given splits win, and copies in them leave the earlier ones; the rest is cut by content, or by group if there are any.

    times: when each sample was, if that is what cuts all splits.
    """
    if times is not None and prepare.fold is not None:
        raise ConfigError(TIMELESS)
    if times is not None:
        return _split_by_time(samples, chosen, times, prepare)
    given = samples.splits[chosen]
    dropped = _copies(samples, chosen, np.where(given == NONE, TRAIN, given))
    chosen = chosen[~np.isin(chosen, list(dropped))]

    units, strata = _dealt_by(samples, chosen, labels)
    fractions = {VAL: prepare.val_fraction, TEST: prepare.test_fraction}
    positions = keyed.split_position(units, prepare.split_seed)
    splits, small = assigned(units, strata, samples.splits[chosen], fractions, positions)
    notes = [*_notes(samples, chosen, splits, _small(small, labels, classes)), *_far(samples, chosen, splits, fractions)]
    taken = _without_copies(samples, chosen, splits, dropped, notes)
    return taken if prepare.fold is None else _of_fold(samples, taken, labels, classes, prepare, *prepare.fold)


def _of_fold(
    samples: Samples,
    taken: Taken,
    labels: NDArray[Any],
    classes: tuple[str, ...],
    prepare: PrepareConfig,
    number: int,
    num: int,
) -> Taken:
    """One fold of what is train and val otherwise as test, and the rest cut into train and val; test is left alone."""
    chosen, aside = taken.index[taken.splits != TEST], int((taken.splits == TEST).sum())
    units, strata = _dealt_by(samples, chosen, labels)
    check_enough(units, num, "groups" if grouped(samples, chosen) else "different samples")
    given = np.where(dealt(units, strata, num, prepare.split_seed) == number, TEST, NONE)
    positions = keyed.fold_position(units, prepare.split_seed, number)
    splits, small = assigned(units, strata, given, {VAL: prepare.val_fraction, TEST: 0.0}, positions)
    notes = [f"test is fold {number} of {num} of the samples that are train and val without folds"]
    notes += [f"the {aside} test samples without folds are in no split, so that no choice is made on them"] if aside else []
    notes += _too_few(samples, chosen, _small(small, labels, classes))
    return _without_copies(samples, chosen, splits, taken.dropped, notes)


def _dealt_by(samples: Samples, chosen: Column, labels: NDArray[Any]) -> tuple[keyed.U64, Column]:
    """Units (N,) that stay together, and strata (N,) that reach every split."""
    units = _units(samples, chosen)
    strata = labels[samples.labels[chosen]] if labels.ndim == 1 else np.zeros(len(chosen), np.int64)
    return units, group_strata(units, strata) if grouped(samples, chosen) else strata


def _without_copies(samples: Samples, chosen: Column, splits: Column, dropped: dict[int, str], notes: list[str]) -> Taken:
    """Copies leave the earlier splits."""
    copies = _copies(samples, chosen, splits)
    kept = ~np.isin(chosen, list(copies))
    dropped = dropped | copies
    if dropped:
        one = "1 sample was left out as an exact copy of a sample of a later split (see rejected.csv)"
        many = "{} samples were left out as exact copies of samples of a later split (see rejected.csv)"
        notes = [*notes, so_many(len(dropped), one, many)]
    return Taken(chosen[kept], splits[kept], dropped, notes)


def _small(strata: list[int], labels: NDArray[Any], classes: tuple[str, ...]) -> list[str]:
    """The names of strata; one of all samples, of small classes' groups, or of numbers has none."""
    return [classes[s] if s != NONE and labels.ndim == 1 and classes else "" for s in strata]


def _split_by_time(samples: Samples, chosen: Column, times: Times, prepare: PrepareConfig) -> Taken:
    """Groups and copies stay together, as they do where contents decide."""
    fractions = {VAL: prepare.val_fraction, TEST: prepare.test_fraction}
    splits = by_time(_units(samples, chosen), times.moments[chosen], fractions)
    return _without_copies(samples, chosen, splits, {}, time_notes(times, chosen, splits, fractions, grouped(samples, chosen)))


def _units(samples: Samples, index: Column) -> keyed.U64:
    """What must stay together (N,): the group's number, or the content's own where there is no group."""
    groups = np.array([keyed.content_id(name.encode()) for name in samples.group_names] + [0], np.uint64)
    return np.where(samples.groups[index] == NONE, samples.contents[index], groups[samples.groups[index]])


def _copies(samples: Samples, index: Column, splits: Column) -> dict[int, str]:
    """The samples whose content is also in a later split, and the reason to leave them out."""
    contents = samples.contents[index]
    leaving = straddlers(contents, splits)
    staying = np.flatnonzero(np.isin(contents, contents[leaving]))
    original: dict[int, int] = {}
    for j in staying[np.argsort(-splits[staying], kind="stable")].tolist():
        original.setdefault(int(contents[j]), j)
    reasons = {}
    for j in leaving.tolist():
        of = original[int(contents[j])]
        reasons[int(index[j])] = f"exact copy of {samples.name(int(index[of]))} in the {SPLITS[int(splits[of])]} split"
    return reasons


def grouped(samples: Samples, index: Column) -> bool:
    """Whether any of these samples is of a group."""
    return bool((samples.groups[index] != NONE).any())


def _far(samples: Samples, index: Column, splits: Column, fractions: dict[int, float]) -> list[str]:
    """Where large groups leave a split far from what was asked for; small datasets are far by chance."""
    given = set(samples.splits[index].tolist())
    far = far_from_asked(splits, {split: fraction for split, fraction in fractions.items() if split not in given})
    if not far or not grouped(samples, index):
        return []
    num = len(np.unique(samples.groups[index]))
    return [f"{far}: {counted(num, 'group')} can't be parted more evenly, since a group stays whole"]


def _too_few(samples: Samples, index: Column, small: list[str]) -> list[str]:
    """What to know of strata (their names, some "") that were too small for thresholds."""
    if named := [name for name in small if name]:
        what = "groups to split by their names" if grouped(samples, index) else "samples to split by content"
        return [f"too few {what} alone, so dealt out by rank: {some(named, 'class')}"]
    return ["too few samples or groups to split by content alone, so dealt out by rank"] if small else []


def _notes(samples: Samples, index: Column, splits: Column, small: list[str]) -> list[str]:
    notes, groups = _too_few(samples, index, small), samples.groups[index]
    notes += _few_beside_given(samples.splits[index], splits)
    pairs = np.unique(np.stack([groups, splits])[:, groups != NONE], axis=1)
    names, counts = np.unique(pairs[0], return_counts=True)
    straddling = sorted(samples.group_names[g] for g in names[counts > 1].tolist())
    if straddling:
        notes.append(f"in more than one of the given splits: {some(straddling, 'group')}")
    return notes


def _few_beside_given(given: Column, splits: Column) -> list[str]:
    """What to know of a small split that was cut from train although the other one was given."""
    sizes = np.bincount(splits, minlength=len(SPLITS))
    notes = []
    for split, other in ((VAL, TEST), (TEST, VAL)):
        if (given == other).any() and not (given == split).any() and 0 < sizes[split] < FEW:
            name, pool = SPLITS[split], int(sizes[split] + sizes[TRAIN])
            notes.append(
                f"{name} is cut from train, since {SPLITS[other]} alone was given: {share(int(sizes[split]), pool)} samples, "
                f"too few for more than a rough figure; raise prepare.{name}_fraction, or name one with data.{name}_path"
            )
    return notes
