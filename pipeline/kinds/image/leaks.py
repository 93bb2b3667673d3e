"""What makes results of pictures too good: pictures that are the same but for their encoding, size, brightness or colours.

Fingerprints are difference hashes (`likeness.py`). Pictures of things on a plain ground share them by their outlines (within
8 bits of one of Fashion-MNIST's training pictures lie more than nine of ten test pictures), so that a pair counts only if its
brightness changes in the same places, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.keyed import U64
from pipeline.kinds import likeness
from pipeline.kinds.kind import Layout
from pipeline.kinds.leaks import Feature

EQUAL_BY_CHANCE = False
LIKENESS_BITS = 8
ALIKE, SURELY_ALIKE = 0.8, 0.98
"""Least correlation of the changes of brightness between two pictures; the second where many share a fingerprint."""


def fingerprints(rows: NDArray[np.uint8], layout: Layout) -> U64:
    """64 bits of each picture (C, H, W)."""
    return likeness.fingerprints(rows.sum(1, dtype=np.uint16))


def alike(one: NDArray[np.uint8], other: NDArray[np.uint8], common: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """By the correlation of differences between neighbouring pixels; pictures without any are alike if they are equal."""
    same = (one == other).reshape(len(one), -1).all(1)
    a, b = (rows.sum(1, dtype=np.int32) for rows in (one, other))
    found: NDArray[np.bool_] = same | likeness.alike(a, b, np.where(common, SURELY_ALIKE, ALIKE))
    return found


def features(rows: Callable[[], NDArray[np.uint8]], layout: Layout, data: object) -> Iterator[Feature]:
    """A pixel by itself means nothing."""
    yield from ()


def leaving_out(columns: Sequence[str], data: object) -> str:
    """There are no columns."""
    raise NotImplementedError
