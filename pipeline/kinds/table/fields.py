"""The columns of a table as somebody fills them in, each with a value of the middle of training."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.kinds.fields import Field
from pipeline.kinds.kind import Fit
from pipeline.kinds.table.columns import Column, columns_in
from pipeline.kinds.table.given import WRITTEN


def fields(fit: Fit) -> list[Field]:
    """A field for each column that was learned from."""
    found, at = [], 0
    for column in columns_in(fit):
        found.append(Field(column.name, column.type, column.values, _example(column, fit["stored"][at])))
        at += sum(1 for _ in column.stored())
    return found


def _example(column: Column, own: Mapping[str, Any]) -> str:
    """The most frequent category, or the median number or day; own: what was fitted of the column's first stored value."""
    if column.type == "category":
        return column.values[int(np.argmax(own["counts"]))] if column.values else ""
    grid = [*own["grid"], *own["exact"]] or [0.0]
    middle = float(np.median(grid))
    if column.type == "date":
        day = datetime.date(1970, 1, 1) + datetime.timedelta(days=round(middle))
        return day.strftime(WRITTEN.get(column.order or "", "%Y-%m-%d"))
    return f"{middle:.6g}".replace(".", column.decimal or ".")
