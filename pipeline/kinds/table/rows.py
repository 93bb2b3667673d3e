"""From cells of text to rows of float32, in `prepare` and in prediction alike."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.kinds.table import cells
from pipeline.kinds.table.columns import Column
from pipeline.wording import first_of

if TYPE_CHECKING:
    import pyarrow as pa

UNKNOWN = -1.0
"""A category that is none of the column's texts."""
DAY = 86400
_BEYOND = 2.0**128 - 2.0**103
"""The least number that rounds to infinity as a float32."""
MOST_NAMED = 5


def check_all_there(names: list[str], given: Collection[str], place: str) -> None:
    """DataError where a column that was learned from is lacking. place: words before what is said."""
    lacking = [repr(name) for name in names if name not in given]
    if lacking:
        there = ", ".join(map(repr, given)) or "none"
        raise DataError(
            f"{place}no column {first_of(lacking, MOST_NAMED)}; there are {there}. Give all {len(names)} columns that were "
            "learned from, with an empty cell (in Python None) where a value is missing"
        )


def stored_rows(batch: pa.RecordBatch, columns: Sequence[Column]) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Rows (n, stored columns), and by row why it can't be taken: a cell that is not what its column is."""
    check_all_there([column.name for column in columns], batch.schema.names, "")
    num = sum(1 for column in columns for _ in column.stored())
    rows, problems, at = np.empty((len(batch), num), np.float32), dict[int, str](), 0
    for column in columns:
        values, bad = _stored(batch[column.name], column)
        rows[:, at : at + values.shape[1]] = values
        at += values.shape[1]
        for i in np.flatnonzero(bad).tolist():
            problems.setdefault(i, _problem(column, str(batch[column.name][i])))
    return rows, problems


def _stored(texts: pa.Array, column: Column) -> tuple[NDArray[np.float64], cells.Mask]:
    """(n, parts) and which cells are not what the column is."""
    if column.type == "category":
        return _codes(texts, column)[:, None], np.zeros(len(texts), bool)
    empty = cells.equal_to_any(texts, ["", *column.missing])
    if column.type == "number":
        values, are = cells.numbers(texts, column.decimal)
        are &= np.abs(values) < _BEYOND
        return np.where(are & ~empty, values, np.nan)[:, None], _bad(texts, are | empty)
    seconds, are = cells.dates(texts, column.order or "y-m-d")
    return _parts(np.where(empty, np.nan, seconds), column), _bad(texts, are | empty)


def _bad(texts: pa.Array, good: cells.Mask) -> cells.Mask:
    """Which cells are not what the column is: words for a missing value are no obstacle, also where training has no such."""
    return ~good if good.all() else ~(good | cells.usual_words(texts))


def _codes(texts: pa.Array, column: Column) -> NDArray[np.float64]:
    """Places among the column's texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.fill_null(pc.index_in(texts, value_set=pa.array(column.values, texts.type)), int(UNKNOWN))
    codes = cells.as_numpy(found).astype(np.float64)
    codes[cells.equal_to_any(texts, ["", *column.missing])] = np.nan
    return codes


def _parts(seconds: NDArray[np.float64], column: Column) -> NDArray[np.float64]:
    """Days since 1970, month, weekday from Monday on and, if asked for, hour: (n, 3 or 4)."""
    there = np.isfinite(seconds)
    days = np.floor(np.where(there, seconds, 0) / DAY).astype(np.int64)
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    parts = [np.where(there, seconds, 0) / DAY, months, (days + 3) % 7]
    if column.hours:
        parts.append(np.where(there, seconds, 0) % DAY // 3600)
    return np.where(there[:, None], np.stack(parts, axis=1), np.nan)


def _problem(column: Column, text: str) -> str:
    import pyarrow as pa

    said = f"column {column.name!r} says {text[:60]!r}"
    if column.type == "date":
        return f"{said}, which is no date ({column.order}) as its training cells are"
    large = bool(cells.numbers(pa.array([text]), column.decimal)[1][0])
    return f"{said}, {'more than float32 holds' if large else 'no finite number, and the column is of numbers'}"
