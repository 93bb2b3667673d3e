"""What each column of a table is, and how its cells are stored: one float32, or for a date one for each of its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pipeline.errors import DataError
from pipeline.kinds.table import cells
from pipeline.kinds.table.cells import DATES
from pipeline.kinds.table.keys import TableData
from pipeline.kinds.table.survey import MOST_VALUES, Survey, Tally, number_rows
from pipeline.kinds.words import quoted, stands_for_missing
from pipeline.wording import counted, first_of, some

if TYPE_CHECKING:
    import pyarrow as pa

FEW, MOST_SHARE = 50, 0.5
"""A text column of more than FEW texts, of which more than this share are different, is an id or free text."""
WORDS = 4
"""From which on a cell is a text to learn from, and not a name."""
NAMED = 5
"""Columns in a note."""
NEARLY = 0.9
"""A column of which so many cells are numbers, or dates, is said to be nearly one."""
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = tuple(str(month) for month in range(1, 13))
HOURS = tuple(str(hour) for hour in range(24))


@dataclass(frozen=True)
class Stored:
    """One float32 of a row: a number, or the place of a category in `values`; NaN where the cell is empty, -1 for a text
    that is not among `values`."""

    name: str
    type: Literal["number", "category"]
    values: Sequence[str] = ()


@dataclass(frozen=True)
class Column:
    """A column of the table that is part of a sample."""

    name: str
    type: Literal["number", "category", "date"]
    missing: Sequence[str] = ()
    """Texts that stand for a missing value in it."""
    values: Sequence[str] = ()
    """Of a category: its texts, sorted."""
    order: str | None = None
    """Of a date: that of day, month and year."""
    hours: bool = False
    """Of a date: whether there are times of day."""
    decimal: str = ""
    """Of a number: the sign before decimals, where thousands may be told apart; empty: as programs write numbers."""

    def stored(self) -> Iterator[Stored]:
        """What it becomes."""
        if self.type == "date":
            yield Stored(f"{self.name} (days)", "number")
            yield Stored(f"{self.name} (month)", "category", MONTHS)
            yield Stored(f"{self.name} (weekday)", "category", WEEKDAYS)
            if self.hours:
                yield Stored(f"{self.name} (hour)", "category", HOURS)
        else:
            yield Stored(self.name, self.type, self.values)


@dataclass
class Found:
    """The columns of a dataset, those that were left out, and what to say of them."""

    columns: list[Column] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """By column the reason."""
    notes: list[str] = field(default_factory=list)


def columns_in(details: Mapping[str, Any]) -> list[Column]:
    """The columns that a layout or what was fitted lists."""
    return [Column(**values) for values in details["columns"]]


def listed(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """The columns as JSON-like data."""
    return [{**asdict(column), "missing": list(column.missing), "values": list(column.values)} for column in columns]


def found_columns(survey: Survey, data: TableData) -> Found:
    """Types by what the training cells say, unless the keys say them."""
    found, sign = Found(), data.decimal or _common_sign(survey)
    for name, learned in survey.learned.items():
        _found_column(found, name, learned, survey.judged[name], data, sign)
    found.notes += [*_words_told(found, survey), *_decimals_told(found, survey)]
    if not found.columns:
        reasons = "; ".join(f"{name!r}: {reason}" for name, reason in found.left_out.items())
        texts = [name for name in found.left_out if len(_example(survey.learned[name]).split()) >= WORDS]
        instead = f"to learn from the texts say data=text data.text={quoted(texts[0])}, or " if texts else ""
        raise DataError(
            f"no column is left to learn from ({reasons}); {instead}check data.label, data.ignore and data.category"
        )
    return found


def _common_sign(survey: Survey) -> str:
    """The sign before decimals by what columns say whose numbers can be read in one way alone, if they agree; else empty."""
    signs = set()
    for tally in survey.learned.values():
        full = [sign for sign, num in tally.decimals.items() if tally.separated and num + tally.unread == tally.said]
        signs |= set(full) if len(full) == 1 else set()
    return signs.pop() if len(signs) == 1 else ""


def _decimal(tally: Tally, sign: str, asked: bool) -> str:
    """The sign before a column's decimals: the table's, where all its numbers can be read so, or most of one that was asked
    for; empty where they are as programs write them.
    """
    grouped = tally.decimals[","] > 0 and not tally.whole and sign == ","
    if not sign or not (tally.separated or grouped):
        return ""
    full = tally.decimals[sign] + tally.unread == tally.said
    return sign if full or (asked and tally.decimals[sign] > tally.numbers) else ""


def _found_column(found: Found, name: str, tally: Tally, judged: Tally, data: TableData, sign: str) -> None:
    asked, decimal = data.asked(name), _decimal(tally, sign, data.asked(name) == "number")
    type_, reason = (asked, "") if asked else _recognised(name, tally, judged, data.day_first, found.notes, decimal)
    if type_ is None:
        found.left_out[name] = reason
    elif type_ == "date":
        order = _order(name, tally, data.day_first)
        found.columns.append(Column(name, "date", _missing(tally, judged, data), (), order, _has_hours(tally, judged)))
    elif type_ == "number":
        _check_numbers(name, tally, decimal)
        found.columns.append(Column(name, "number", _missing(tally, judged, data), decimal=decimal))
    else:
        found.columns.append(Column(name, "category", list(data.missing), _values(name, tally)))
        _say_unseen(found.notes, name, tally, judged)


def _recognised(
    name: str, tally: Tally, judged: Tally, day_first: bool | None, notes: list[str], decimal: str
) -> tuple[str | None, str]:
    """A type, or None and why the column is left out."""
    said, words = tally.said, sum(tally.words.values())
    if not said:
        return None, "empty in all training rows"
    if tally.values is not None and len(tally.values) == 1 and not tally.empty:
        return None, f"the same in all training rows ({_shown(next(iter(tally.values)))})"
    if number_rows(tally, judged):
        return None, f"it numbers the rows (data.number=[{quoted(name)}] takes it)"
    if decimal or (tally.numbers and not tally.led and tally.numbers + tally.unread == said):
        return "number", ""
    full = _told([order for order, num in tally.dates.items() if num + words == said], day_first)
    if len(full) == 1:
        return "date", ""
    _say_nearly(name, tally, full, notes)
    if tally.values is None or (len(tally.values) > FEW and len(tally.values) > MOST_SHARE * said):
        num = f"more than {MOST_VALUES:,}" if tally.values is None else f"{len(tally.values):,}"
        return None, f"{num} different texts such as {_shown(_example(tally))}, an id or free text"
    return "category", ""


def _say_nearly(name: str, tally: Tally, full: list[str], notes: list[str]) -> None:
    """What a column could be taken for, with the words for it."""
    keyed, said, words = f"[{quoted(name)}]", tally.said, sum(tally.words.values())
    if tally.separated and max(tally.decimals.values()) >= NEARLY * said:
        notes.append(
            f"column {name!r} is not taken as numbers, since the comma in {_shown(tally.separated)} may be before decimals or "
            "between thousands, or cells differ in that; say data.decimal=, or data.decimal=. (the sign before decimals)"
        )
    elif len(full) > 1:
        notes.append(
            f"column {name!r} holds dates in which day and month can't be told apart, so it is taken as text; "
            "data.day_first=true reads 01/02/2024 as 1 February, data.day_first=false as January 2"
        )
    elif tally.dates and max(tally.dates.values()) + words >= NEARLY * said:
        num = said - max(tally.dates.values()) - words
        notes.append(
            f"column {name!r} is not taken as dates because of {counted(num, 'cell')} such as "
            f"{_shown(tally.undated)}; data.date={keyed} takes it so and rejects these rows"
        )
    elif tally.led and tally.numbers + words == said:
        notes.append(f"column {name!r} has numbers with leading zeros, so it is text; data.number={keyed} takes it as numbers")
    elif tally.numbers + words >= NEARLY * said:
        num = said - tally.numbers - tally.infinite - words
        notes.append(
            f"column {name!r} is not taken as numbers because of {counted(num, 'cell')} such as "
            f"{_shown(tally.odd)}; data.number={keyed} takes it so and rejects these rows"
        )


def _told(orders: list[str], day_first: bool | None) -> list[str]:
    """Those that are left where it is told what comes first."""
    other = {True: "m/d/y", False: "d/m/y", None: ""}[day_first]
    return [order for order in orders if order != other or len(orders) == 1]


def _order(name: str, tally: Tally, day_first: bool | None) -> str:
    """The order of day, month and year in which most cells can be read."""
    most = max(tally.dates.values(), default=0)
    orders = _told([order for order in DATES if most and tally.dates.get(order) == most], day_first)
    if not orders:
        raise DataError(
            f"data.date: column {name!r} has no dates that can be read, only cells such as {_shown(_example(tally))}"
        )
    if len(orders) > 1:
        raise DataError(f"data.date: in column {name!r} day and month can't be told apart; say data.day_first=true or false")
    return orders[0]


def _missing(tally: Tally, judged: Tally, data: TableData) -> list[str]:
    """What stands for a missing value in a column of numbers or dates."""
    return sorted({*data.missing, *tally.words, *judged.words})


def _decimals_told(found: Found, survey: Survey) -> list[str]:
    """One note of the numbers that are not as programs write them."""
    notes = []
    for sign, words in ((",", "a comma before their decimals"), (".", "commas between thousands")):
        names = [column.name for column in found.columns if column.decimal == sign]
        other = "." if sign == "," else ","
        if names:
            cell = survey.learned[names[0]].separated or _example(survey.learned[names[0]])
            read = cells.numbers(_texts([cell]), sign)[0][0]
            notes.append(f"numbers have {words} in {some(names, 'column')}: {_shown(cell)} is {read:.15g}; say "
                         f"data.decimal={other} if that is wrong")  # fmt: skip
    return notes


def _texts(values: list[str]) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, pa.string())


def _check_numbers(name: str, tally: Tally, decimal: str) -> None:
    """DataError where a column that a key takes as numbers has none."""
    if tally.said > sum(tally.words.values()) and not tally.numbers and not decimal:
        raise DataError(
            f"data.number: column {name!r} has no numbers, only cells such as {_shown(_example(tally))}; leave it out of "
            "data.number"
        )


def _say_unseen(notes: list[str], name: str, tally: Tally, judged: Tally) -> None:
    unseen = {text: num for text, num in (judged.values or {}).items() if text not in (tally.values or {})}
    if unseen:
        notes.append(
            f"column {name!r}: {counted(sum(unseen.values()), 'row')} of val or test with what training never says, such as "
            f"{_shown(min(unseen))}; taken as another category"
        )


def _values(name: str, tally: Tally) -> list[str]:
    if tally.values is None:
        raise DataError(
            f"data.category: column {name!r} has more than {MOST_VALUES:,} different texts; group them in the table, or say "
            f"data.ignore=[{quoted(name)}]"
        )
    return sorted(tally.values)


def _has_hours(tally: Tally, judged: Tally) -> bool:
    """Whether a date's cells have times of day; where there are too many to tell, they are looked for all the same."""
    if tally.values is None:
        return True
    return any(":" in text for text in tally.values)


def _example(tally: Tally) -> str:
    return tally.odd or next(iter(tally.values or {}), "")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def _words_told(found: Found, survey: Survey) -> list[str]:
    """Notes of words for a missing value: in numbers they are taken for that, as categories they are not."""
    of_numbers = {own.name: survey.learned[own.name].words for own in found.columns if own.type == "number"}
    as_category = {own.name: _words_among(own, survey.learned[own.name]) for own in found.columns if own.type == "category"}
    words = sorted({word for counts in as_category.values() for word in counts})
    said = f"data.missing=[{','.join(map(quoted, words))}]"
    return [
        *_said_of(of_numbers, "taken as missing, since all other cells are numbers"),
        *_said_of(as_category, f"taken as a category like any other; {said} makes it a missing value in every column"),
    ]


def _words_among(column: Column, tally: Tally) -> dict[str, int]:
    return {value: (tally.values or {}).get(value, 0) for value in column.values if stands_for_missing(value)}


def _said_of(words: Mapping[str, Mapping[str, int]], what: str) -> list[str]:
    """One note of the columns that have such words, and how often."""
    said = {
        name: ", ".join(f"{word!r} {counted(num, 'time')}" for word, num in sorted(counts.items()))
        for name, counts in words.items()
        if counts
    }
    if len(said) > 1:
        each = first_of([f"{name!r}: {counts}" for name, counts in said.items()], NAMED)
        return [f"{len(said)} columns have words for a missing value ({each}), {what}"]
    return [f"column {name!r} has {counts}, {what}" for name, counts in said.items()]
