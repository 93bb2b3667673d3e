"""What makes results of tables too good: columns that know the label, and rows that differ in nothing that is learned from but
the last digits of numbers: in an id that is left out, in rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.keyed import U64
from pipeline.kinds.kind import Layout
from pipeline.kinds.leaks import Feature
from pipeline.kinds.table.columns import columns_in
from pipeline.kinds.table.keys import TableData
from pipeline.kinds.words import quoted

EQUAL_BY_CHANCE = True
LIKENESS_BITS = 0
DIGITS = 4
"""Of a number that count."""
_PRIME, _START = np.uint64(0x100000001B3), np.uint64(0xCBF29CE484222325)


def fingerprints(rows: NDArray[np.float32], layout: Layout) -> U64:
    """FNV-1a of each row's cells, numbers rounded to DIGITS digits; missing ones are alike."""
    parts = [part for column in columns_in(layout.details) for part in column.stored()]
    found = np.full(len(rows), _START)
    for values, part in zip(rows.T, parts, strict=True):
        for word in _rounded(values) if part.type == "number" else [_bits(values)]:
            found = (found ^ word) * _PRIME
    return found ^ (found >> np.uint64(32))


def alike(one: NDArray[np.float32], other: NDArray[np.float32], common: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """All but those of which there are many: such rows are equal by chance."""
    return ~common


def features(rows: Callable[[], NDArray[np.float32]], layout: Layout, data: TableData) -> Iterator[Feature]:
    """Each column; the parts of a date are features of their own."""
    parts = [(column.name, part) for column in columns_in(layout.details) for part in column.stored()]
    for values, (name, part) in zip(rows().T, parts, strict=True):
        yield Feature(part.name, values.astype(np.float64), part.type == "number", name)


def leaving_out(columns: Sequence[str], data: TableData) -> str:
    """Those that are left out already stay so."""
    return f"data.ignore=[{','.join(map(quoted, [*data.ignore, *columns]))}]"


def _bits(values: NDArray[np.float32]) -> U64:
    return np.where(np.isnan(values), np.float32(np.nan), values).astype(np.float32).view(np.uint32).astype(np.uint64)


def _rounded(values: NDArray[np.float32]) -> list[U64]:
    """The first digits with their sign, and the power of ten; of a missing number one that no other has."""
    wide = values.astype(np.float64)
    there = np.isfinite(wide) & (wide != 0)
    power = np.floor(np.log10(np.abs(np.where(there, wide, 1.0))))
    digits = np.rint(np.where(there, wide, 0.0) / 10.0 ** (power - DIGITS + 1))
    up = np.abs(digits) == 10**DIGITS  # 9.9999 has the digits of 10
    digits, power = np.where(up, digits / 10, digits), np.where(up, power + 1, power)
    missing = np.isnan(wide)
    return [np.where(missing, 10**DIGITS, digits).astype(np.int64).view(np.uint64), power.astype(np.int64).view(np.uint64)]
