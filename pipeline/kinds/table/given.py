"""Rows that somebody wants an answer for, in whatever form they are at hand, as rows as stored."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.kinds.kind import Fit
from pipeline.kinds.table.columns import Column, columns_in
from pipeline.kinds.table.rows import UNKNOWN, stored_rows

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN = 5


def rows_of(samples: Any, fit: Fit) -> NDArray[np.float32]:
    """Rows (B, columns) of a DataFrame, an Arrow table, a dict of lists or a list of dicts."""
    columns = columns_in(fit)
    batch = _batch(samples, [column.name for column in columns])
    rows, problems = stored_rows(batch, columns)
    if problems:
        said = "; ".join(f"row {i}: {problems[i]}" for i in sorted(problems)[:_SHOWN])
        raise DataError(f"{len(problems)} of {len(rows)} rows are none of this table ({said})")
    _tell_unknown(batch, rows, columns)
    return rows


def _batch(samples: Any, names: list[str]) -> pa.RecordBatch:
    """The columns of these names, as text."""
    import pyarrow as pa

    given = _columns(samples, names)
    _check_all_there(names, given, "")
    return pa.RecordBatch.from_arrays([_text(given[name]) for name in names], names)


def _check_all_there(names: list[str], given: Collection[str], place: str) -> None:
    lacking = [repr(name) for name in names if name not in given]
    if lacking:
        more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
        there = ", ".join(map(repr, given)) or "none"
        raise DataError(
            f"{place}no column {', '.join(lacking[:_SHOWN])}{more}; there are {there}. Give all {len(names)} columns that were "
            "learned from, with None where a value is missing"
        )


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
        _check_all_there(names, row, f"row {i}: ")
    return {name: [row[name] for row in samples] for name in names}


def _text(values: Any) -> pa.Array:
    """Values of any simple type as text, missing ones as the empty one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else _array(values)
    if isinstance(column.type, pa.DictionaryType):
        column = column.dictionary_decode()
    return pc.utf8_trim_whitespace(pc.fill_null(column.cast(pa.string()), ""))


def _array(values: Any) -> pa.Array:
    """Values of one type, or else each as its text."""
    import pyarrow as pa

    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None or value != value else str(value) for value in values], pa.string())


def _tell_unknown(batch: pa.RecordBatch, rows: NDArray[np.float32], columns: list[Column]) -> None:
    at = 0
    for column in columns:
        unknown = np.flatnonzero(rows[:, at] == UNKNOWN)
        if column.type == "category" and len(unknown):
            example = str(batch[column.name][int(unknown[0])])
            warnings.warn(
                f"column {column.name!r}: {len(unknown)} rows say what training never saw, such as {example!r}; "
                "taken as another category",
                stacklevel=2,
            )
        at += sum(1 for _ in column.stored())
