"""Features that alone say nearly all of the answer: often they are known only once the answer is.

Each is judged as a table of one column would be: what it says in training (the most frequent class, or the mean, of each of
its values or of ranges with equally many samples) is held against validation. Test is left alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.kinds.kind import Layout
from pipeline.kinds.leaks import Feature, Leaks
from pipeline.kinds.words import shell_word
from pipeline.prepare.raw import Column
from pipeline.prepare.selection import Taken
from pipeline.prepare.splits import TRAIN, VAL
from pipeline.prepare.writing import Decoded

LEFT = 0.05
"""A feature tells nearly all if it leaves at most this share of the error, or of the variance, that there is without it."""
FEWEST = 20
"""With fewer validation samples nothing is told."""
MOST_CELLS, MOST_ROWS = 2 * 10**7, 20_000
PER_RANGE, MOST_RANGES = 20, 256
"""Training samples in a range of numbers."""
NAMED = 5


class Judged(NamedTuple):
    """How much a feature says alone, of validation samples."""

    name: str
    column: str
    right: str
    """In words."""
    left: float
    """Share of the error, or of the variance, that it leaves."""


class Telling(NamedTuple):
    """Features that alone say nearly all of the answer."""

    said: str
    """Which, and how much each says of validation samples."""
    without: str
    """The key and value that leave them out."""


def telling_features(
    leaks: Leaks, contents: Decoded, taken: Taken, labels: NDArray[Any], layout: Layout, data: Any
) -> Telling | None:
    """The features that alone say nearly all, the most telling first. labels (T,), or (T, numbers): of the samples."""
    answers = [labels] if labels.ndim == 1 else list(labels.T) if labels.dtype.kind == "f" else []
    rows = max(1000, min(MOST_ROWS, MOST_CELLS // max(1, layout.num_bytes)))
    train, val = (_first(taken.splits == split, rows) for split in (TRAIN, VAL))
    if len(val) < FEWEST or not answers:
        return None
    index = taken.index[np.r_[train, val]]

    def values() -> NDArray[Any]:
        return np.asarray(contents.values[contents.row_of[index]])

    features = list(leaks.features(values, layout, data))
    found = [_judged(one, len(train), answer[train], answer[val]) for answer in answers for one in features]
    telling = sorted((one for one in found if one and one.left <= LEFT), key=lambda one: one.left)
    if not telling:
        return None
    columns = list(dict.fromkeys(one.column for one in telling))
    return Telling(_said(telling), leaks.leaving_out(columns, data))


def note(telling: Telling) -> str:
    """For who reads what `prepare` says."""
    return (
        f"{telling.said}: where that is not yet known when the model is asked, results are too good; leave it out: regatta "
        f"run {shell_word(telling.without)}"
    )


def _first(chosen: NDArray[np.bool_], num: int) -> Column:
    """The first ones, which are a random sample, since contents decide the order."""
    return np.flatnonzero(chosen)[:num]


def _said(telling: list[Judged]) -> str:
    said = "; ".join(f"column {one.name!r} alone says {one.right}" for one in telling[:NAMED])
    more = f" and {len(telling) - NAMED} more" if len(telling) > NAMED else ""
    return said + more


def _judged(feature: Feature, num: int, train: NDArray[Any], val: NDArray[Any]) -> Judged | None:
    """The first `num` values of the feature are of training samples. None where the answer is all alike."""
    cells = _cells(feature, num)
    own, others = cells[:num], cells[num:]
    if train.dtype.kind == "f":
        return _judged_numbers(feature, own, others, train, val)
    classes, codes = np.unique(np.r_[train, val], return_inverse=True)
    counts = np.zeros((int(cells.max()) + 1, len(classes)), np.int64)
    np.add.at(counts, (own, codes[:num]), 1)
    usual = int(counts.sum(0).argmax())
    answers = np.where(counts.any(1), counts.argmax(1), usual)[others]
    wrong, trivial = int((answers != codes[num:]).sum()), int((codes[num:] != usual).sum())
    if not trivial:
        return None
    right = f"the class of {len(val) - wrong} of {len(val)} validation samples ({len(val) - trivial} are of the most frequent)"
    return Judged(feature.name, feature.column, right, wrong / trivial)


def _judged_numbers(
    feature: Feature, own: Column, others: Column, train: NDArray[np.float64], val: NDArray[np.float64]
) -> Judged | None:
    counts = np.bincount(own, minlength=int(max(own.max(), others.max())) + 1)
    means = np.bincount(own, train, len(counts)) / np.maximum(counts, 1)
    answers = np.where(counts > 0, means, train.mean())[others]
    spread = float(((val - val.mean()) ** 2).sum())
    if not spread:
        return None
    left = float(((val - answers) ** 2).sum()) / spread
    return Judged(feature.name, feature.column, f"{100 * (1 - left):.0f} % of the variance in validation", left)


def _cells(feature: Feature, num: int) -> Column:
    """By sample the number of its value or range, as the training samples cut them; a missing value is one, too."""
    values = feature.values
    there = ~np.isnan(values)
    learned = np.unique(values[:num][there[:num]])
    if not len(learned):
        return np.zeros(len(values), np.int64)
    ranges = min(MOST_RANGES, max(1, num // PER_RANGE))
    if feature.ordered and len(learned) > ranges:
        edges = np.unique(np.quantile(values[:num][there[:num]], np.arange(1, ranges) / ranges))
        found = np.searchsorted(edges, values, side="right") + 1
    else:
        place = np.minimum(np.searchsorted(learned, values), len(learned) - 1)
        found = np.where(learned[place] == values, place + 1, len(learned) + 1)
    return np.where(there, found, 0).astype(np.int64)
