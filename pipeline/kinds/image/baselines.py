"""What simple methods see of an image: its pixels, or histograms of its gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kinds.baselines import Seen
from pipeline.kinds.kind import Fit

Floats = NDArray[np.float32]

PIXELS, EDGES = 32, 64
"""Largest side of what is seen; larger images are made smaller by the mean of whole pixels."""
ORIENTATIONS, CELL, MOST_CELLS, CLIPPED = 9, 4, 8, 0.2
"""Of gradient histograms, after Dalal and Triggs (2005): bins of half a turn, pixels of a cell's side at least (2 of images
below 16), cells a side at most, and where a normalised block is cut off."""
PORTION = 512
"""Images whose gradients are taken at once."""


def baselines(fit: Fit, shape: Sequence[int]) -> Sequence[Seen]:
    """Both with a linear method."""
    return (
        Seen("pixels", f"pixels{_smaller(shape, PIXELS)}", "linear", _pixels),
        Seen("hog", f"histograms of gradients (HOG){_smaller(shape, EDGES)}", "linear", _histograms),
    )


def _smaller(shape: Sequence[int], side: int) -> str:
    return "" if max(shape[1:]) <= side else f" of images made at most {side} x {side}"


def _shrunk(rows: NDArray[Any], side: int) -> Floats:
    """Images (n, C, H, W) as float32, means of blocks of whole pixels so that no side is longer; what is left over is cut."""
    factor = -(-max(rows.shape[2:]) // side)
    height, width = (max(1, length // factor) for length in rows.shape[2:])
    if factor == 1:
        return np.asarray(rows, np.float32)
    cut = rows[:, :, : height * factor, : width * factor]
    tall, wide = (min(factor, length) for length in rows.shape[2:])
    return np.asarray(cut.reshape(*rows.shape[:2], height, tall, width, wide).mean((3, 5), dtype=np.float32))


def _pixels(rows: NDArray[Any]) -> Floats:
    small = _shrunk(rows, PIXELS)
    return small.reshape(len(rows), -1)


def _histograms(rows: NDArray[Any]) -> Floats:
    starts = range(0, len(rows), PORTION)
    return np.concatenate([_of_gradients(_shrunk(rows[start : start + PORTION], EDGES)) for start in starts])


def _of_gradients(images: Floats) -> Floats:
    """Histograms (n, F) of images (n, C, H, W): of cells, normalised in blocks of two by two."""
    down, across = _slopes(images, 2), _slopes(images, 3)
    size = np.hypot(down, across)
    strongest = size.argmax(1)[:, None]  # of the channels, at each pixel
    size, down, across = (np.take_along_axis(part, strongest, 1)[:, 0] for part in (size, down, across))
    turn = np.arctan2(down, across) * (ORIENTATIONS / np.pi) % ORIENTATIONS
    first = np.floor(turn)
    share = turn - first
    one = first.astype(np.int64) % ORIENTATIONS
    cells = np.stack([_by_cell(size * _weight(one, share, k)) for k in range(ORIENTATIONS)], -1)
    return _normalised(cells)


def _slopes(images: Floats, axis: int) -> Floats:
    """Central differences along an axis, 0 at its ends."""
    moved = np.zeros_like(images)
    inside, before, after = (_along(axis, part) for part in (slice(1, -1), slice(None, -2), slice(2, None)))
    moved[inside] = images[after] - images[before]
    return moved


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return (*[slice(None)] * axis, part)


def _weight(one: NDArray[np.int64], share: NDArray[Any], k: int) -> Floats:
    """What a pixel between two orientations gives to orientation k."""
    return np.where(one == k, 1 - share, 0) + np.where((one + 1) % ORIENTATIONS == k, share, 0)


def _by_cell(values: Floats) -> Floats:
    """Sums (n, rows, columns) over the cells of (n, H, W)."""
    for axis in (1, 2):
        values = np.add.reduceat(values, _edges(values.shape[axis]), axis)
    return values.astype(np.float32)


def _edges(length: int) -> NDArray[np.int64]:
    """Where each cell begins along a side."""
    num = min(MOST_CELLS, max(1, length // (CELL if length >= 4 * CELL else 2)))
    return np.arange(num) * length // num


def _normalised(cells: Floats) -> Floats:
    """Blocks of two by two cells, each cut off and of length one (L2-Hys); one block where there are fewer cells."""
    high, wide = (max(1, length - 1) for length in cells.shape[1:3])
    corners = [cells[:, i : i + high, j : j + wide] for i in range(2) for j in range(2) if _fits(cells, i, j)]
    blocks = np.concatenate(corners, -1)
    for _ in range(2):
        blocks = np.minimum(blocks / np.sqrt((blocks**2).sum(-1, keepdims=True) + 1e-6), CLIPPED)
    lengths = np.sqrt((blocks**2).sum(-1, keepdims=True) + 1e-6)
    found: Floats = (blocks / lengths).reshape(len(cells), -1).astype(np.float32)
    return found


def _fits(cells: Floats, i: int, j: int) -> bool:
    return bool(i < cells.shape[1] and j < cells.shape[2])
