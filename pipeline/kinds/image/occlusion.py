"""Squares of an image, hidden by the mean colour of training (Zeiler and Fergus 2014)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.kinds.kind import Fit
from pipeline.kinds.occlusion import squares

HIDDEN = "each square, a quarter of the side wide, was painted over with the mean colour of training"
DRAWS = 0


def num_parts(row: NDArray[np.uint8], fit: Fit) -> int:
    """Of an image (C, H, W)."""
    return len(squares(*row.shape[1:]))


def hidden(row: NDArray[np.uint8], part: int, fit: Fit, other: None) -> NDArray[np.uint8]:
    """A copy with one square in the mean colour."""
    top, bottom, left, right = squares(*row.shape[1:])[part]
    copy = row.copy()
    copy[:, top:bottom, left:right] = np.rint(255 * np.array(fit["mean"]))[:, None, None]
    return copy
