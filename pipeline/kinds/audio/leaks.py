"""What makes results of sounds too good: sounds that are the same but for their encoding, rate or loudness.

Fingerprints are difference hashes of spectrograms (`likeness.py`). One that begins elsewhere is not found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.keyed import U64
from pipeline.kinds import likeness
from pipeline.kinds.audio.features import FLOOR, Recipe, log_mel, spectral
from pipeline.kinds.kind import Layout
from pipeline.kinds.leaks import Feature

EQUAL_BY_CHANCE = False
LIKENESS_BITS = 8
ALIKE = 0.95
"""Least correlation of the changes from column to column and from band to band."""
_STEPS = 16
"""Whole numbers in a unit of the logarithm, 0.27 decibels each."""


def fingerprints(rows: NDArray[Any], layout: Layout) -> U64:
    """64 bits of each spectrogram (1, bands, columns); of waveforms (1, samples) of theirs."""
    recipe = Recipe.of(layout.details)
    if recipe.mels is None:
        rows = np.stack([log_mel(row[0], spectral(recipe))[None] for row in rows])
    return likeness.fingerprints(_whole(rows).astype(np.uint16))


def alike(one: NDArray[Any], other: NDArray[Any], common: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Spectrograms that change in the same places; waveforms whose samples do."""
    same = (one == other).reshape(len(one), -1).all(1)
    least = np.full(len(one), ALIKE)
    found: NDArray[np.bool_] = same | likeness.alike(_whole(one), _whole(other), least)
    return found


def _whole(rows: NDArray[Any]) -> NDArray[np.int32]:
    """(n, bands, columns) in whole numbers from 0; samples (n, 1, samples) as of 16 bits."""
    values = rows * 2.0**15 if rows.ndim == 3 else (rows[:, 0].astype(np.float32) - np.log(FLOOR)) * _STEPS
    found: NDArray[np.int32] = np.round(values).astype(np.int32)
    return found


def features(rows: Callable[[], NDArray[Any]], layout: Layout, data: object) -> Iterator[Feature]:
    """A band at a time means nothing by itself."""
    yield from ()


def leaving_out(columns: Sequence[str], data: object) -> str:
    """There are no columns."""
    raise NotImplementedError
