"""Rows that somebody wants an answer for, in whatever form they are at hand, as rows as stored."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.kinds.kind import Fit
from pipeline.kinds.table.columns import Column, columns_in
from pipeline.kinds.table.rows import MOST_NAMED, UNKNOWN, check_all_there, stored_rows
from pipeline.wording import counted, share

if TYPE_CHECKING:
    import pyarrow as pa

WRITTEN = {"y/m/d": "%Y/%m/%d", "d.m.y": "%d.%m.%Y", "d/m/y": "%d/%m/%Y", "m/d/y": "%m/%d/%Y"}
"""By the order of a date's parts how times are written in it, unless it is that of programs."""


def rows_of(samples: Any, fit: Fit) -> NDArray[np.float32]:
    """Rows (B, columns) of a DataFrame, an Arrow table, a dict of lists or a list of dicts."""
    columns = columns_in(fit)
    batch = _batch(samples, columns)
    rows, problems = stored_rows(batch, columns)
    if problems:
        said = "; ".join(f"row {i}: {problems[i]}" for i in sorted(problems)[:MOST_NAMED])
        raise DataError(f"{share(len(problems), len(rows))} rows are none of this table ({said})")
    _tell_unknown(batch, rows, columns)
    return rows


def _batch(samples: Any, columns: Sequence[Column]) -> pa.RecordBatch:
    """The columns as text, as a table of this dataset would have it."""
    import pyarrow as pa

    names = [column.name for column in columns]
    given = _columns(samples, names)
    check_all_there(names, given, "")
    return pa.RecordBatch.from_arrays([_text(given[column.name], column) for column in columns], names)


def _columns(samples: Any, names: list[str]) -> Mapping[str, Any]:
    """By name the values of a column; DataError where a row lacks one of these names."""
    if hasattr(samples, "column_names"):  # an Arrow table
        return {name: samples[name] for name in samples.column_names}
    if hasattr(samples, "columns"):
        return {str(name): samples[name] for name in samples}
    if isinstance(samples, Mapping):
        alone = [name for name, values in samples.items() if isinstance(values, str) or not hasattr(values, "__len__")]
        if alone:
            raise DataError(
                f"column {alone[0]!r} has one value, {samples[alone[0]]!r}, where a list is expected; one row is [row]"
            )
        return {str(name): samples[name] for name in samples}
    for i, row in enumerate(samples):
        check_all_there(names, row, f"row {i}: ")
    return {name: [row[name] for row in samples] for name in names}


def _text(values: Any, column: Column) -> pa.Array:
    """Values of any simple type as text, missing ones as the empty one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else _array(values, column)
    if isinstance(array.type, pa.DictionaryType):
        array = array.dictionary_decode()
    return pc.utf8_trim_whitespace(pc.fill_null(_as_written(array, column), ""))


def _as_written(array: pa.Array, column: Column) -> pa.Array:
    """Numbers, times and truth values as the column's cells are written."""
    import pyarrow.compute as pc
    import pyarrow.types as pt

    if pt.is_boolean(array.type) and "True" in column.values:
        return pc.if_else(array, "True", "False")
    if (pt.is_floating(array.type) or pt.is_decimal(array.type)) and column.decimal == ",":
        return pc.replace_substring(array.cast("string"), ".", ",")
    if (pt.is_timestamp(array.type) or pt.is_date(array.type)) and column.order in WRITTEN:
        return pc.strftime(array.cast("timestamp[s]", safe=False), format=f"{WRITTEN[column.order]} %H:%M:%S")
    return array.cast("string")


def _word(value: Any, column: Column) -> str:
    """A value among others of other types."""
    if isinstance(value, float) and column.decimal == ",":
        return str(value).replace(".", ",")
    if hasattr(value, "strftime") and column.order in WRITTEN:
        return str(value.strftime(f"{WRITTEN[column.order]} %H:%M:%S"))
    return str(value)


def _array(values: Any, column: Column) -> pa.Array:
    """Values of one type, or else each as its text."""
    import pyarrow as pa

    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None or value != value else _word(value, column) for value in values], pa.string())


def _tell_unknown(batch: pa.RecordBatch, rows: NDArray[np.float32], columns: list[Column]) -> None:
    at = 0
    for column in columns:
        unknown = np.flatnonzero(rows[:, at] == UNKNOWN)
        if column.type == "category" and len(unknown):
            example = str(batch[column.name][int(unknown[0])])
            warnings.warn(
                f"column {column.name!r}: {counted(len(unknown), 'row')} with what training never saw, such as {example!r}; "
                "taken as another category",
                stacklevel=2,
            )
        at += sum(1 for _ in column.stored())
