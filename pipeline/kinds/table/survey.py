"""What is known of each column once all cells have been seen: how many say numbers, dates or nothing, which texts there are.

Cells of samples that are given as val or test, or can't be taken, are counted apart: the type of a column is that of its
training cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.kinds.table import cells
from pipeline.kinds.words import DECIMALS

if TYPE_CHECKING:
    import pyarrow as pa

MOST_VALUES = 10_000
"""Distinct texts that are remembered of a column."""
LOOKED_AT, VARIED = 1000, 500
"""Of so many first cells, so many distinct ones are a sign of numbers as measured."""
NUMBERED, DENSE = 20, 0.9
"""So many whole numbers that rise from row to row, and miss no more than the rest of this share, number the rows."""


@dataclass
class Tally:
    """Of the cells of a column."""

    num: int = 0
    empty: int = 0
    """Without a text, or with one of `data.missing`."""
    numbers: int = 0
    """Finite ones, also with leading zeros."""
    led: int = 0
    """Numbers with leading zeros."""
    infinite: int = 0
    decimals: dict[str, int] = field(default_factory=lambda: {",": 0, ".": 0})
    """By the sign before decimals: cells that are numbers then, those in which thousands are told apart as well."""
    separated: str = ""
    """A cell that is a number with a comma in it."""
    words: dict[str, int] = field(default_factory=dict)
    """Usual words for missing values."""
    dates: dict[str, int] = field(default_factory=dict)
    """By the order of day, month and year."""
    odd: str = ""
    """A text that says neither a number nor nothing."""
    undated: str = ""
    """Likewise neither a date nor nothing."""
    values: dict[str, int] | None = field(default_factory=dict)
    """How often each text occurs; None: too many."""
    low: float = np.inf
    """Of the numbers; likewise `high`."""
    high: float = -np.inf
    total: float = 0.0
    """Sum of the numbers."""
    whole: bool = True
    """Whether all numbers are whole."""
    rising: bool = True
    """Whether all cells are numbers, each larger than the one in the row before."""

    @property
    def said(self) -> int:
        """Cells that are not empty."""
        return self.num - self.empty

    @property
    def unread(self) -> int:
        """Cells that are no numbers and no obstacle: infinite ones, which are rejected, and usual words for missing values."""
        return self.infinite + sum(self.words.values())


Tallies = dict[str, Tally]


def number_rows(learned: Tally, judged: Tally) -> bool:
    """Whether the cells of a column number the rows, those of training alone or all together.

    Rows that are given as val or test or can't be taken have their numbers too, and lines that are no rows leave gaps.
    """
    return _count_rows([learned]) or _count_rows([learned, judged])


def _count_rows(tallies: Sequence[Tally]) -> bool:
    """Whether they are 0, 1, 2, ... or 1, 2, 3, ..., each once in any order, or rise from row to row with few gaps."""
    num = sum(own.num for own in tallies)
    if num < 3 or not all(own.whole and own.numbers == own.num for own in tallies):
        return False
    low, high = min(own.low for own in tallies), max(own.high for own in tallies)
    span = high - low + 1
    once = all(own.values is None or max(own.values.values(), default=1) == 1 for own in tallies)
    exact = low in (0.0, 1.0) and span == num and 2 * sum(own.total for own in tallies) == num * (low + high)
    return bool((once and exact) or (all(own.rising for own in tallies) and NUMBERED <= num <= span <= num / DENSE))


@dataclass
class Survey:
    """By column: the training cells, and those that nothing may be learned of."""

    learned: Tallies
    judged: Tallies


def surveyed(batch: pa.RecordBatch, judged: NDArray[np.bool_], missing: list[str]) -> Survey:
    """What a batch of rows says. missing: texts that stand for a missing value."""
    import pyarrow as pa

    parts = (
        (batch, batch.slice(0, 0)) if not judged.any() else (batch.filter(pa.array(~judged)), batch.filter(pa.array(judged)))
    )
    learned, rest = ({name: tally(part[name], missing) for name in part.schema.names} for part in parts)
    return Survey(learned, rest)


def merged(one: Survey, other: Survey) -> Survey:
    """Both together; the first is added to and given back."""
    for mine, more in ((one.learned, other.learned), (one.judged, other.judged)):
        for name, own in more.items():
            _add(mine[name], own)
    return one


def _add(one: Tally, other: Tally) -> None:
    for name in ("num", "empty", "numbers", "led", "infinite", "total"):
        setattr(one, name, getattr(one, name) + getattr(other, name))
    one.rising = one.rising and other.rising and one.high < other.low
    one.low, one.high, one.whole = min(one.low, other.low), max(one.high, other.high), one.whole and other.whole
    one.odd, one.undated = one.odd or other.odd, one.undated or other.undated
    one.separated, one.decimals = one.separated or other.separated, _summed(one.decimals, other.decimals)
    one.words, one.dates = _summed(one.words, other.words), _summed(one.dates, other.dates)
    both = None if one.values is None or other.values is None else _summed(one.values, other.values)
    one.values = None if both is None or len(both) > MOST_VALUES else both


def _summed(one: dict[str, int], other: Mapping[str, int]) -> dict[str, int]:
    for name, num in other.items():
        one[name] = one.get(name, 0) + num
    return one


def tally(column: pa.Array, missing: list[str]) -> Tally:
    """Of some cells of a column."""
    if not len(column):
        return Tally()
    if not (missing and cells.equal_to_any(column, missing).any()) and (measured := _measured(column)):
        return measured
    import pyarrow.compute as pc

    counted = pc.value_counts(column)
    texts, counts = counted.field(0), cells.as_numpy(counted.field(1)).astype(np.int64)
    empty = cells.equal_to_any(texts, ["", *missing])
    found = Tally(num=len(column), empty=int(counts[empty].sum()))
    texts, counts = texts.filter(_arrow(~empty)), counts[~empty]
    _tally_numbers(found, texts, counts)
    _tally_dates(found, texts, counts)
    found.values = dict(zip(texts.to_pylist(), counts.tolist(), strict=True)) if len(texts) <= MOST_VALUES else None
    return found


def _measured(column: pa.Array) -> Tally | None:
    """Of a column of nothing but finite numbers, nearly all different, without a look at each text; None where it is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    first = column.slice(0, LOOKED_AT)
    if len(first) < LOOKED_AT or pc.count_distinct(first).as_py() < VARIED or cells.matching(first, cells.GROUPED).all():
        return None
    try:
        first.filter(pc.not_equal(first, "")).cast(pa.float64())  # what fails, fails here: soon
        said = column.filter(pc.not_equal(column, ""))
        values = cells.as_numpy(said.cast(pa.float64()))
    except pa.ArrowInvalid:
        return None
    zeros = said.filter(pc.starts_with(said, "0"))
    if not np.isfinite(values).all() or cells.matching(zeros, cells.LED).any():
        return None
    found = Tally(num=len(column), empty=len(column) - len(said), numbers=len(said), values=None)
    _bound(found, values, None)
    found.rising = _is_rising(values, found.num)
    return found


def _is_rising(values: NDArray[np.float64], num: int) -> bool:
    return len(values) == num and all(bool((np.diff(part) > 0).all()) for part in (values[:LOOKED_AT], values))


def _bound(found: Tally, values: NDArray[np.float64], counts: NDArray[np.int64] | None) -> None:
    """What the numbers are together. counts: how often each occurs; None: each once."""
    if len(values):
        num = len(values) if counts is None else int(counts.sum())
        found.low, found.high = float(values.min()), float(values.max())
        found.total = float((values if counts is None else values * counts).sum())
        found.whole = all(bool((part == np.floor(part)).all()) for part in (values[:LOOKED_AT], values))
        found.decimals = {",": num if found.whole else 0, ".": num}


def _tally_numbers(found: Tally, texts: pa.Array, counts: NDArray[np.int64]) -> None:
    values, are = cells.numbers(texts)
    found.numbers = int(counts[are].sum())
    found.led = int(counts[cells.matching(texts, cells.LED) & are].sum())
    _bound(found, values[are], counts[are])
    found.rising = _is_rising(values[are], found.num)  # distinct texts come in the order of the rows
    _tally_decimals(found, texts, counts)
    if are.all():
        return
    infinite, words = cells.matching(texts, cells.INFINITE), cells.usual_words(texts)
    found.infinite = int(counts[infinite].sum())
    found.words = dict(zip(texts.filter(_arrow(words)).to_pylist(), counts[words].tolist(), strict=True))
    found.odd = _first(texts, ~(are | infinite | words))


def _tally_decimals(found: Tally, texts: pa.Array, counts: NDArray[np.int64]) -> None:
    """What the cells are with a comma before decimals, or between thousands; of plain numbers it is known already."""
    first = texts.slice(0, LOOKED_AT)
    if not (cells.matching(first, r"^[+-]?[\d.]*\d,\d").any() or cells.matching(first, cells.GROUPED).any()):
        return
    for sign, (pattern, _) in DECIMALS.items():
        are = cells.matching(texts, pattern)
        found.decimals[sign] = int(counts[are].sum())
        found.separated = found.separated or _first(texts, are & cells.matching(texts, ","))


def _tally_dates(found: Tally, texts: pa.Array, counts: NDArray[np.int64]) -> None:
    if not cells.matching(texts.slice(0, LOOKED_AT), r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}").any():
        return
    words = cells.usual_words(texts)
    for order in cells.DATES:
        _, are = cells.dates(texts, order)
        if are.any():
            found.dates[order] = int(counts[are].sum())
            found.undated = found.undated or _first(texts, ~(are | words))


def _first(texts: pa.Array, mask: NDArray[np.bool_]) -> str:
    return str(texts[int(mask.argmax())]) if mask.any() else ""


def _arrow(mask: NDArray[np.bool_]) -> pa.Array:
    import pyarrow as pa

    return pa.array(mask)
