"""Folds: samples dealt out in equal parts, each of which is the test split of a dataset whose rest trains and validates."""

from __future__ import annotations

import numpy as np

from pipeline import keyed
from pipeline.errors import DataError
from pipeline.prepare.splits import Column

TIMELESS = (
    "folds (study.folds, prepare.fold) are dealt out by content, so with data.time what comes first would be tested by runs "
    "that were trained on what came later; ask with study.seeds instead, or cut by content with data.time=null"
)


def dealt(units: keyed.U64, strata: Column, num: int, seed: int) -> Column:
    """The fold (N,), 1 to `num`, of each sample. Equal units (N,), a content or a group, never part.

    Units are dealt out in turn, stratum (N,) after stratum, within it by their hash: of each stratum, a class, two folds get
    numbers of units that differ by at most one, and so they do of all.
    """
    unit, inverse = np.unique(units, return_inverse=True)
    stratum = np.full(len(unit), np.iinfo(np.int64).max)
    np.minimum.at(stratum, inverse, strata)
    turn = np.empty(len(unit), np.int64)
    turn[np.lexsort((unit, keyed.fold_position(unit, seed), stratum))] = np.arange(len(unit))
    return (turn % num + 1)[inverse]


def check_enough(units: keyed.U64, num: int, what: str) -> None:
    """DataError where a fold would stay empty. what: what the units are."""
    have = len(np.unique(units))
    if have < num:
        raise DataError(
            f"{num} folds (study.folds, prepare.fold) can't be cut from {have} {what} of train and val together; take at most "
            f"{have} folds, or leave fewer samples to test with prepare.test_fraction"
        )
