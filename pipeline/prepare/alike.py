"""Samples of val and test that closely resemble one that is trained on: what they are judged by is known already.

By fingerprints first, then by the rows themselves: how is the kind's business. The work is bounded; of a large dataset some
samples are looked at, which is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.artifacts import write_csv
from pipeline.data.dataset import SPLITS
from pipeline.kinds.kind import Layout
from pipeline.kinds.leaks import Leaks
from pipeline.prepare.parallel import ordered
from pipeline.prepare.raw import Column
from pipeline.prepare.scan import Samples
from pipeline.prepare.selection import Taken, grouped
from pipeline.prepare.splits import TRAIN
from pipeline.prepare.writing import Decoded, portions, ragged_portions
from pipeline.wording import counted, so_many

MOST_COMPARED = 2 * 10**8
"""Pairs of fingerprints for a split: about a second."""
AT_ONCE = 2**22
AT_MOST_RAGGED = 1024
"""Ragged rows compared at once."""
MOST_BYTES = 32 * 2**20
"""Of rows compared at once."""
CROWD = 4
"""A fingerprint that is near more of those before it is common, and these of them are compared."""
NAMED = 3


@dataclass(frozen=True)
class Alike:
    """Pairs of samples in different splits, the later ones first."""

    later: Column
    """(P,) places among the taken samples, ascending; likewise `earlier`, in whose splits one learns or chooses."""
    earlier: Column
    num_looked: int
    """Of val and test: so many were compared with the others."""
    num: int
    """Samples of val and test."""


def resembling(
    leaks: Leaks, contents: Decoded, taken: Taken, samples: Samples, layout: Layout, whole: bool, workers: int = 1
) -> Alike:
    """Pairs of samples that are alike. whole: whether all are looked at, however long it takes."""
    marks = _fingerprints(leaks, contents, taken.index, layout, workers)
    later, earlier, looked = [_NONE], [_NONE], 0
    for split in range(TRAIN + 1, len(SPLITS)):
        own, before = np.flatnonzero(taken.splits == split), np.flatnonzero(taken.splits < split)
        own = own if whole else _affordable(own, len(before), samples.contents[taken.index], leaks)
        looked += len(own)
        for i, j, common in _near(marks[own], marks[before], leaks.LIKENESS_BITS):
            same = _alike(leaks, contents, taken.index[own[i]], taken.index[before[j]], common, layout)
            later.append(own[i][same])
            earlier.append(before[j][same])
    pairs = np.unique(np.stack([np.concatenate(later), np.concatenate(earlier)]), axis=1)
    return Alike(pairs[0], pairs[1], looked, int((taken.splits > TRAIN).sum()))


def _fingerprints(leaks: Leaks, contents: Decoded, index: Column, layout: Layout, workers: int) -> keyed.U64:
    rows: Iterator[Any] = ragged_portions(contents, index) if layout.ragged else portions(contents, index, layout)
    find = partial(leaks.fingerprints, layout=layout)
    found = ordered(find, rows, _num_bytes, workers, patience_s=0, threads=True)
    return np.concatenate([_NO_MARKS, *(marks for _, marks in found)])


def _num_bytes(rows: Any) -> int:
    return int(rows.nbytes) if isinstance(rows, np.ndarray) else sum(row.nbytes for row in rows)


_NONE = np.empty(0, np.int64)
_NO_MARKS = np.empty(0, np.uint64)


def _affordable(own: Column, num_before: int, contents: keyed.U64, leaks: Leaks) -> Column:
    """Of the samples `own` those that there is time for; where equal fingerprints are looked for, all."""
    num = MOST_COMPARED // max(num_before, 1)
    return own if leaks.LIKENESS_BITS == 0 else own[keyed.subset(contents[own], num)]


def _near(own: keyed.U64, before: keyed.U64, bits: int) -> Iterator[tuple[Column, Column, NDArray[np.bool_]]]:
    """Places of near fingerprints, of each of `own` the nearest CROWD ones, and whether (n,) there are more; in portions."""
    if bits == 0:
        yield _equal(own, before)
        return
    step = max(1, AT_ONCE // max(len(before), 1))
    for first in range(0, len(own) if len(before) else 0, step):
        part = own[first : first + step]
        i, j, common = _nearest(part, before, bits)
        yield i + first, j, common


def _nearest(own: keyed.U64, before: keyed.U64, bits: int) -> tuple[Column, Column, NDArray[np.bool_]]:
    distance = np.bitwise_count(own[:, None] ^ before[None, :])
    i, j = np.nonzero(distance <= bits)
    order = np.lexsort((j, distance[i, j], i))
    i, j = i[order], j[order]
    counts = np.bincount(i, minlength=len(own))
    rank = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = rank < CROWD
    return i[kept], j[kept], (counts > CROWD)[i[kept]]


def _equal(own: keyed.U64, before: keyed.U64) -> tuple[Column, Column, NDArray[np.bool_]]:
    order = np.argsort(before, kind="stable")
    low, high = (np.searchsorted(before[order], own, side=side) for side in ("left", "right"))
    counts = np.minimum(high - low, CROWD)
    i = np.repeat(np.arange(len(own)), counts)
    rank = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts)
    return i, order[low[i] + rank], (high - low > CROWD)[i]


def _alike(
    leaks: Leaks, contents: Decoded, one: Column, other: Column, common: NDArray[np.bool_], layout: Layout
) -> NDArray[np.bool_]:
    """Which pairs (n,) of samples are alike, in portions that fit into memory."""
    step = AT_MOST_RAGGED if layout.ragged else max(1, MOST_BYTES // layout.num_bytes)
    parts = [slice(at, at + step) for at in range(0, len(one), step)]
    found = []
    for part in parts:
        pair = (_rows(contents, index[part], layout) for index in (one, other))
        found.append(leaks.alike(next(pair), next(pair), common[part]))
    return np.concatenate([np.zeros(0, bool), *found])


def _rows(contents: Decoded, index: Column, layout: Layout) -> Any:
    if layout.ragged:
        return next(ragged_portions(contents, index, len(index)))
    return np.asarray(contents.values[contents.row_of[index]])


def without_alike(
    leaks: Leaks,
    contents: Decoded,
    taken: Taken,
    samples: Samples,
    layout: Layout,
    leave_out: bool,
    folder: Path,
    workers: int = 1,
) -> Taken:
    """The samples with a note of those that are alike, of which a table is written; without the earlier ones if asked for."""
    found = resembling(leaks, contents, taken, samples, layout, leave_out, workers)
    if not len(found.later):
        return taken
    write_csv(folder / "alike.csv", ("source", "split", "resembles", "its_split"), _table(found, samples, taken))
    told = _told(found, samples, taken)
    if leave_out:
        return _left_out(found, samples, taken, f"{told}; those of the earlier split are left out (see rejected.csv)")
    mend = "regatta run prepare.alike=leave_out leaves those of the earlier split out"
    if not grouped(samples, taken.index):
        mend += "; data.group=COLUMN keeps together what belongs together"
    note = f"{told} (alike.csv lists all). If they show the same thing, results are too good: {mend}"
    return replace(taken, notes=[*taken.notes, note])


def _told(found: Alike, samples: Samples, taken: Taken) -> str:
    later, first = np.unique(found.later, return_index=True)
    pairs = zip(later[:NAMED].tolist(), found.earlier[first[:NAMED]].tolist(), strict=True)
    named = "; ".join(f"{_name(samples, taken, i)} and {_name(samples, taken, j)}" for i, j in pairs)
    of = f"of {found.num_looked} looked at, {found.num} in all" if found.num_looked < found.num else f"of {found.num}"
    more = ", ..." if len(later) > NAMED else ""
    who = f"{counted(len(later), 'sample')} of val and test ({of})"
    return f"{who} closely {so_many(len(later), 'resembles', 'resemble')} one of an earlier split: {named}{more}"


def _left_out(found: Alike, samples: Samples, taken: Taken, note: str) -> Taken:
    reasons: dict[int, str] = {}
    for i, j in zip(found.later.tolist(), found.earlier.tolist(), strict=True):
        said = f"closely resembles {_name(samples, taken, i)} in the {SPLITS[taken.splits[i]]} split"
        reasons.setdefault(int(taken.index[j]), said)
    kept = ~np.isin(taken.index, list(reasons))
    return Taken(taken.index[kept], taken.splits[kept], taken.dropped | reasons, [*taken.notes, note])


def _table(found: Alike, samples: Samples, taken: Taken) -> list[tuple[str, str, str, str]]:
    return [
        (_name(samples, taken, i), SPLITS[taken.splits[i]], _name(samples, taken, j), SPLITS[taken.splits[j]])
        for i, j in zip(found.later.tolist(), found.earlier.tolist(), strict=True)
    ]


def _name(samples: Samples, taken: Taken, i: int) -> str:
    return samples.name(int(taken.index[i]))
