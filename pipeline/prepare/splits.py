"""Which split each sample belongs to: pure functions of contents, groups, classes and what was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.data.dataset import SPLITS

TRAIN, VAL, TEST = range(len(SPLITS))
NONE = -1
ENOUGH_GROUPS = 5
"""Of a class with fewer groups none is set apart for its sake: a val and a test group each would be half of them."""
Column = NDArray[np.int64]


def assigned(
    units: keyed.U64, strata: Column, given: Column, fractions: Mapping[int, float], positions: NDArray[np.float64]
) -> tuple[Column, list[int]]:
    """Splits (N,) of samples whose `given` (N,) split may be NONE, and the strata that were too small for thresholds.

    A split that nobody was given is cut from those that are in train or nowhere, by the position (N,) in [0, 1) that the hash
    of the sample's unit (N,) has: its content, or its group. This moves no old sample when others come. A stratum (N,), a
    class, in which a split would stay empty that way is dealt out by rank instead. Equal units never part.
    """
    cut = [split for split in (TEST, VAL) if fractions[split] > 0 and not (given == split).any()]
    splits = np.where(given == NONE, TRAIN, given)
    pool = np.flatnonzero(splits == TRAIN)
    if not cut or not len(pool):
        return splits, []
    unit, first, inverse = np.unique(units[pool], return_index=True, return_inverse=True)
    stratum = np.full(len(unit), np.iinfo(np.int64).max)
    np.minimum.at(stratum, inverse, strata[pool])
    position = positions[pool][first]
    wanted = [(split, fractions[split]) for split in cut]
    of_unit = _by_threshold(position, wanted)
    small = _lacking(stratum, of_unit, [TRAIN, *cut])
    for s in small:
        members = np.flatnonzero(stratum == s)
        of_unit[members[np.argsort(position[members], kind="stable")]] = _by_rank(len(members), wanted)
    splits[pool] = of_unit[inverse]
    return splits, small


def by_time(units: keyed.U64, moments: NDArray[np.float64], fractions: Mapping[int, float]) -> Column:
    """Splits (N,) of samples by their moments (N,): the newest in test, the next ones in val, the rest in train.

    Equal units never part: the newest sample of one decides, so that train has nothing that is newer than what decides for
    val. Equal moments never part either: a split ends where the count of its samples comes nearest to its fraction. Where
    there are too few moments, the later splits are served first.
    """
    _, inverse = np.unique(units, return_inverse=True)
    newest = np.full(len(units), -np.inf)
    np.maximum.at(newest, inverse, moments)
    distinct, place, counts = np.unique(newest[inverse], return_inverse=True, return_counts=True)
    of_moment = np.full(len(distinct), TRAIN)
    wanted = [split for split in (TEST, VAL) if fractions[split] > 0]
    end = len(distinct)
    for i, split in enumerate(wanted):
        left = end - (len(wanted) - i)  # each split still to come needs a moment, train included
        taken = np.cumsum(counts[:end][::-1])[: max(left, 0)]
        num = int(np.abs(taken - fractions[split] * len(units)).argmin()) + 1 if len(taken) else 0
        of_moment[end - num : end] = split
        end -= num
    return of_moment[place]


def group_strata(groups: keyed.U64, strata: Column) -> Column:
    """Strata (N,) by which whole groups can be dealt out: a group counts for its rarest class, by number of groups.

    Classes of fewer than ENOUGH_GROUPS groups share one stratum, NONE.
    """
    group, of_group = np.unique(groups, return_inverse=True)
    of_group, of_class = np.unique(np.stack([of_group, strata]), axis=1)
    num_groups = np.bincount(of_class)
    order = np.lexsort((of_class, num_groups[of_class], of_group))
    _, first = np.unique(of_group[order], return_index=True)
    rarest = of_class[order][first]
    enough = np.bincount(rarest, minlength=len(num_groups))[rarest] >= ENOUGH_GROUPS
    return np.where(enough, rarest, NONE)[np.searchsorted(group, groups)]


def _lacking(strata: Column, splits: Column, needed: list[int]) -> list[int]:
    """The strata that do not reach every needed split."""
    names, inverse = np.unique(strata, return_inverse=True)
    table = np.bincount(inverse * len(SPLITS) + splits, minlength=len(names) * len(SPLITS)).reshape(-1, len(SPLITS))
    lacking: list[int] = names[(table[:, needed] == 0).any(axis=1)].tolist()
    return lacking


def _by_threshold(position: NDArray[np.float64], wanted: list[tuple[int, float]]) -> Column:
    """From 0 upwards each wanted split takes its fraction of the unit interval; train has the rest."""
    edges = np.cumsum([fraction for _, fraction in wanted])
    return np.array([*(split for split, _ in wanted), TRAIN])[np.searchsorted(edges, position, side="right")]


def _by_rank(num: int, wanted: list[tuple[int, float]]) -> Column:
    """Splits (num,) by ascending position: quotas by rounding, at least one each as far as `num` reaches; train first."""
    quotas: list[int] = []
    left = num - 1
    for i, (split, fraction) in enumerate(wanted):
        reserved = min(len(wanted) - 1 - i, max(left - 1, 0))
        quota = min(max(1, int(num * fraction + 0.5)), left - reserved)
        quotas += [split] * quota
        left -= quota
    return np.array(quotas + [TRAIN] * (num - len(quotas)))


def straddlers(contents: keyed.U64, splits: Column) -> Column:
    """Positions, ascending, of the samples whose content is also in a later split of train, val, test."""
    unit, inverse = np.unique(contents, return_inverse=True)
    last = np.full(len(unit), NONE)
    np.maximum.at(last, inverse, splits)
    return np.flatnonzero(splits < last[inverse])


def limited(contents: keyed.U64, cells: Column, limit: int | None) -> Column:
    """Positions, ascending, of at most `limit` samples: those of the smallest hash, after up to three of each cell (N,).

    A cell is a class in a given split, so that a handful of samples still shows each of them.
    """
    if limit is None or limit >= len(contents):
        return np.arange(len(contents))
    position = keyed.unit(keyed.words("subset", contents))
    order = np.lexsort((position, cells))
    ordered_cells = cells[order]
    starts = np.flatnonzero(np.r_[True, ordered_cells[1:] != ordered_cells[:-1]])
    rank = np.empty(len(cells), np.int64)
    rank[order] = np.arange(len(cells)) - np.repeat(starts, np.diff(np.r_[starts, len(cells)]))
    assured = rank < min(3, limit // len(starts))
    return np.sort(np.lexsort((position, ~assured))[:limit])


def num_repeats(contents: keyed.U64) -> int:
    """How many samples are exact copies of another."""
    ranked = np.sort(contents)  # np.unique would hash, which takes ten times as long where nearly all are different
    return int((ranked[1:] == ranked[:-1]).sum())


def conflicts(contents: keyed.U64, labels: NDArray[Any]) -> Column:
    """Positions, ascending, of the samples whose content also occurs with another label (N,)."""
    _, inverse = np.unique(contents, return_inverse=True)
    low = np.full(len(contents), np.iinfo(np.int64).max)
    high = np.full(len(contents), np.iinfo(np.int64).min)
    np.minimum.at(low, inverse, labels)
    np.maximum.at(high, inverse, labels)
    return np.flatnonzero((low != high)[inverse])
