"""Whether two pictures show the same, of whole numbers so that it is the same everywhere: photographs, spectrograms.

Fingerprints are difference hashes (dHash; Krawetz 2013, "Kind of like that"): whether each of 8 x 9 patches is brighter than
the one to its left. What is alike changes its brightness in the same places.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.keyed import U64

ROWS, COLUMNS = 8, 9


def fingerprints(grey: NDArray[np.uint16]) -> U64:
    """64 bits of each picture (n, H, W)."""
    height, width = grey.shape[1:]
    tops, lefts = (np.arange(num) * side // num for num, side in ((ROWS, height), (COLUMNS, width)))
    patches = np.add.reduceat(np.add.reduceat(grey, tops, axis=1, dtype=np.uint32), lefts, axis=2)
    widths = np.array([max(1, b - a) for a, b in pairwise([*lefts.tolist(), width])], np.uint32)
    brighter = patches[:, :, 1:] * widths[:-1] > patches[:, :, :-1] * widths[1:]
    bits: U64 = np.packbits(brighter.reshape(len(grey), -1), axis=1).view(">u8")[:, 0].astype(np.uint64)
    return bits


def alike(one: NDArray[np.int32], other: NDArray[np.int32], least: NDArray[np.float64]) -> NDArray[np.bool_]:
    """By the correlation of differences between neighbouring values of pictures (n, H, W), at least so large (n,).

    Pictures without any difference are not alike.
    """
    a, b = _changes(one), _changes(other)
    both, mine, yours = (np.einsum("np,np->n", *pair, dtype=np.float64) for pair in ((a, b), (a, a), (b, b)))
    found: NDArray[np.bool_] = (mine > 0) & (yours > 0) & (both >= least * np.sqrt(mine * yours))
    return found


def _changes(grey: NDArray[Any]) -> NDArray[np.float64]:
    """(n, differences to the right and below): whole numbers, whose sums are exact."""
    right, below = np.diff(grey, axis=2), np.diff(grey, axis=1)
    joined = np.concatenate([right.reshape(len(grey), -1), below.reshape(len(grey), -1)], axis=1)
    return joined.astype(np.float64)
