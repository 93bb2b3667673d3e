"""Rows as people see them: names and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.kinds.kind import Fit
from pipeline.kinds.showing import Examples, Parts, side
from pipeline.kinds.table.columns import Column, columns_in
from pipeline.kinds.table.keys import TablePolicy

NOUN = "rows"


def shown(row: NDArray[np.float32], fit: Fit, words: str) -> Markup:
    """A small table of a row's cells."""
    cells = Markup("").join(
        Markup("<tr><th>{}</th><td>{}</td></tr>").format(name, said) for name, said in _said(row, columns_in(fit))
    )
    return Markup('<table class="cells" aria-label="{}">{}</table>').format(words, cells)


def shown_parts(row: NDArray[np.float32], fit: Fit, words: str, parts: Parts) -> Markup:
    """The cells, those that the answer owes most to first, each with a bar and what the answer is without it."""
    line = Markup('<tr><th>{}</th><td>{}</td><td class="owed {}"><span class="bar" style="--share:{:.3f}"></span>{}</td></tr>')
    said, strengths = _said(row, columns_in(fit)), parts.strengths
    cells = Markup("").join(
        line.format(*said[part], side(strengths[part]), abs(strengths[part]), parts.without[part])
        for part in np.argsort(-np.abs(strengths), kind="stable").tolist()
    )
    head = Markup("<thead><tr><th>Column</th><th>Value</th><th>Answer without it</th></tr></thead>")
    return Markup('<table class="cells" aria-label="{}">{}<tbody>{}</tbody></table>').format(words, head, cells)


def _said(row: NDArray[np.float32], columns: Sequence[Column]) -> list[tuple[str, str]]:
    """By column what its cell says."""
    said, at = [], 0
    for column in columns:
        said.append((column.name, _text(float(row[at]), column)))
        at += sum(1 for _ in column.stored())
    return said


def _text(value: float, column: Column) -> str:
    if np.isnan(value):
        return "missing"
    if column.type == "category":
        return column.values[int(value)] if value >= 0 else "another"
    if column.type == "date":
        moment = np.datetime64(int(value), "D")
        return str(moment)
    return f"{value:.6g}"


def preview(examples: Examples, policy: Any | TablePolicy) -> None:
    """There is no picture of rows."""
