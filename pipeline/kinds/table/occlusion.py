"""Columns of a row, each taken from training rows in turn (Robnik-Sikonja and Kononenko 2008): as if it were not known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kinds.kind import Fit
from pipeline.kinds.table.columns import columns_in

HIDDEN = "each column was filled in from training rows"
DRAWS = 32


def part_names(fit: Fit) -> list[str]:
    """The columns that were learned from."""
    return [column.name for column in columns_in(fit)]


def places(fit: Fit) -> list[slice]:
    """Where each column's values are stored in a row."""
    nums = [sum(1 for _ in column.stored()) for column in columns_in(fit)]
    ends = np.cumsum(nums).tolist()
    return [slice(end - num, end) for num, end in zip(nums, ends, strict=True)]


def num_parts(row: NDArray[np.float32], fit: Fit) -> int:
    """All columns."""
    return len(columns_in(fit))


def hidden(row: NDArray[np.float32], part: int, fit: Fit, other: Any) -> NDArray[np.float32]:
    """The row, or rows, with one column of others."""
    copy, own = row.copy(), places(fit)[part]
    copy[..., own] = other[..., own]
    return copy
