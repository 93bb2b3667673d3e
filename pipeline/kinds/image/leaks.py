"""What makes results of pictures too good: pictures that are the same but for their encoding, size, brightness or colours.

Fingerprints are difference hashes (dHash; Krawetz 2013, "Kind of like that"): whether each of 8 x 9 patches is brighter than
the one to its left. Pictures of things on a plain ground share them by their outlines (within 8 bits of one of Fashion-MNIST's
training pictures lie more than nine of ten test pictures), so that a pair counts only if its brightness changes in the same
places, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.keyed import U64
from pipeline.kinds.kind import Layout
from pipeline.kinds.leaks import Feature

EQUAL_BY_CHANCE = False
LIKENESS_BITS = 8
ALIKE, SURELY_ALIKE = 0.8, 0.98
"""Least correlation of the changes of brightness between two pictures; the second where many share a fingerprint."""
ROWS, COLUMNS = 8, 9


def fingerprints(rows: NDArray[np.uint8], layout: Layout) -> U64:
    """64 bits of each picture (C, H, W)."""
    _, height, width = layout.shape
    tops, lefts = (np.arange(num) * side // num for num, side in ((ROWS, height), (COLUMNS, width)))
    grey = rows.sum(1, dtype=np.uint16)
    patches = np.add.reduceat(np.add.reduceat(grey, tops, axis=1, dtype=np.uint32), lefts, axis=2)
    widths = np.array([max(1, b - a) for a, b in pairwise([*lefts.tolist(), width])], np.uint32)
    brighter = patches[:, :, 1:] * widths[:-1] > patches[:, :, :-1] * widths[1:]
    bits: U64 = np.packbits(brighter.reshape(len(rows), -1), axis=1).view(">u8")[:, 0].astype(np.uint64)
    return bits


def alike(one: NDArray[np.uint8], other: NDArray[np.uint8], common: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """By the correlation of differences between neighbouring pixels; pictures without any are alike if they are equal."""
    a, b = _changes(one), _changes(other)
    both, mine, yours = (np.einsum("np,np->n", *pair, dtype=np.float64) for pair in ((a, b), (a, a), (b, b)))
    least = np.where(common, SURELY_ALIKE, ALIKE)
    flat = (mine == 0) | (yours == 0)
    same = (one == other).reshape(len(one), -1).all(1)
    found: NDArray[np.bool_] = same | (~flat & (both >= least * np.sqrt(mine * yours)))
    return found


def features(rows: Callable[[], NDArray[np.uint8]], layout: Layout, data: object) -> Iterator[Feature]:
    """A pixel by itself means nothing."""
    yield from ()


def leaving_out(columns: Sequence[str], data: object) -> str:
    """There are no columns."""
    raise NotImplementedError


def _changes(rows: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n, differences to the right and below) of the grey picture: whole numbers, whose sums are exact."""
    grey = rows.sum(1, dtype=np.int32)
    right, below = np.diff(grey, axis=2), np.diff(grey, axis=1)
    joined = np.concatenate([right.reshape(len(rows), -1), below.reshape(len(rows), -1)], axis=1)
    return joined.astype(np.float64)
