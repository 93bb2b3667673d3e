"""What a column is by what its cells say, and what is said of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from table_samples import table_config

from pipeline.errors import DataError
from pipeline.kinds.table.columns import Found, found_columns
from pipeline.kinds.table.reading import lay
from pipeline.kinds.table.rows import stored_rows
from pipeline.kinds.table.survey import merged, surveyed

NUM = 200


class Case(NamedTuple):
    """The cells of a column, the keys, and what it is (None: left out) and what is said of it."""

    cells: list[str]
    type: str | None
    said: str = ""
    keys: Mapping[str, Any] = MappingProxyType({})


def found(cells: list[str], keys: Mapping[str, Any], portions: int = 1) -> Found:
    data = table_config(**keys)
    batch = pa.RecordBatch.from_pydict({"x": cells, "other": ["1.5", "2.5"] * (len(cells) // 2)})
    size = -(-len(batch) // portions)
    surveys = [surveyed(batch.slice(at, size), np.zeros(len(batch.slice(at, size)), bool), data.missing)
               for at in range(0, len(batch), size)]  # fmt: skip
    whole = surveys[0]
    for more in surveys[1:]:
        whole = merged(whole, more)
    return found_columns(whole, data)


CASES = {
    "numbers": Case([f"{i}.25" for i in range(NUM)], "number"),
    "numbers and NA": Case([*(f"{i}.25" for i in range(NUM - 2)), "NA", "NA"], "number", "'NA' 2 times, taken as missing"),
    "numbers and empty cells": Case([*(f"{i}.25" for i in range(NUM - 2)), "", ""], "number"),
    "leading zeros": Case([f"{i % 30:03}" for i in range(NUM)], "category", "leading zeros, so it is text; data.number=[x]"),
    "leading zeros as asked": Case([f"{i % 30:03}" for i in range(NUM)], "number", "", {"number": ["x"]}),
    "few words": Case(["a", "b"] * (NUM // 2), "category"),
    "a country NA": Case(["NA", "US"] * (NUM // 2), "category"),
    "an id": Case([f"u{i}" for i in range(NUM)], None, "200 different texts such as 'u0', an id or free text"),
    "an id as asked": Case([f"u{i}" for i in range(NUM)], "category", "", {"category": ["x"]}),
    "numbers of rows": Case([str(i) for i in range(NUM)], None, "it numbers the rows (data.number=[x] takes it)"),
    "numbers of rows from 1": Case([str(i + 1) for i in range(NUM)], None, "it numbers the rows"),
    "numbers of rows with gaps": Case([str(1000 + i + i // 50) for i in range(NUM)], None, "it numbers the rows"),
    "whole numbers that rise with many gaps": Case([str(2 * i) for i in range(NUM)], "number"),
    "whole numbers with few gaps that fall once": Case(
        [*(str(i + i // 50) for i in range(1, NUM)), "0"], "number"
    ),
    "few whole numbers that rise": Case([str(60 + i) for i in range(18)], "number"),
    "numbers of rows as asked": Case([str(i) for i in range(NUM)], "number", "", {"number": ["x"]}),
    "constant": Case(["5"] * NUM, None, "the same in all training rows ('5')"),
    "empty": Case([""] * NUM, None, "empty in all training rows"),
    "a word for missing in all": Case(["-99"] * NUM, None, "empty in all training rows", {"missing": ["-99"]}),
    "dates": Case([f"2024-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(NUM)], "date"),
    "dates by the day": Case([f"{1 + i % 28}/{1 + i % 12}/2024" for i in range(NUM)], "date"),
    "dates that can be read in two ways": Case(
        [f"{1 + i % 12}/{1 + (5 * i) % 12}/2024" for i in range(NUM)], "category", "data.day_first=true reads 01/02/2024 as 1"
    ),
    "dates of which it is told": Case(
        [f"{1 + i % 12}/{1 + (5 * i) % 12}/2024" for i in range(NUM)], "date", "", {"day_first": True}
    ),
    "truth values": Case(["true", "False"] * (NUM // 2), "category"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("portions", [1, 3])
def test_a_column_is_what_its_training_cells_say(name: str, portions: int) -> None:
    case = CASES[name]
    told = found(case.cells, case.keys, portions)
    types = {column.name: column.type for column in told.columns}
    assert types.get("x") == case.type
    assert case.said in " ".join([*told.notes, *told.left_out.values()])
    assert ("x" in told.left_out) == (case.type is None)


def test_words_for_missing_values_are_told_once_of_all_columns() -> None:
    numbers = {name: ["1.5", "2.5", word, "4.5"] for name, word in (("a", "NA"), ("b", "?"))}
    batch = pa.RecordBatch.from_pydict({**numbers, "c": ["US", "NA", "US", "NA"]})
    told = found_columns(surveyed(batch, np.zeros(4, bool), []), table_config())
    assert told.notes == [
        "2 columns have words for a missing value ('a': 'NA' 1 time, 'b': '?' 1 time), taken as missing, since all other "
        "cells are numbers",
        "column 'c' has 'NA' 2 times, taken as a category like any other; data.missing=[NA] makes it a missing value in every "
        "column",
    ]


def test_the_order_of_a_date_is_the_one_in_which_all_cells_are_dates() -> None:
    told = found([f"{1 + i % 28}/{1 + i % 12}/2024 10:{i % 60:02}" for i in range(NUM)], {})
    column = next(column for column in told.columns if column.name == "x")
    assert (column.order, column.hours) == ("d/m/y", True)
    assert [part.name for part in column.stored()] == ["x (days)", "x (month)", "x (weekday)", "x (hour)"]


def test_cells_that_nothing_may_be_learned_of_decide_no_type() -> None:
    batch = pa.RecordBatch.from_pydict({"x": ["1.5", "2.5", "many"], "y": ["a", "b", "c"]})
    survey = surveyed(batch, np.array([False, False, True]), [])
    told = found_columns(survey, table_config())
    assert [(column.name, column.type, column.values) for column in told.columns] == [
        ("x", "number", ()),
        ("y", "category", ["a", "b"]),
    ]
    assert any("1 row of val or test with what training never says, such as 'c'" in note for note in told.notes)


def test_what_is_asked_for_and_can_not_be_is_refused() -> None:
    with pytest.raises(DataError, match=r"data\.date: column 'x' has no dates that can be read, only cells such as 'soon'"):
        found(["soon", "late"] * 10, {"date": ["x"]})
    with pytest.raises(DataError, match=r"data\.date: in column 'x' day and month can't be told apart; say data\.day_first"):
        found(["1/2/2024", "3/4/2024"] * 10, {"date": ["x"]})
    with pytest.raises(DataError, match=r"data\.category: column 'x' has more than 10,000 different texts"):
        found([f"u{i}" for i in range(10_002)], {"category": ["x"]})


def test_nothing_left_is_refused() -> None:
    batch = pa.RecordBatch.from_pydict({"x": ["same"] * 10})
    with pytest.raises(
        DataError, match=r"no column is left to learn from \('x': the same in all training rows.*; check data\.l"
    ):
        found_columns(surveyed(batch, np.zeros(10, bool), []), table_config())


def test_where_only_texts_are_left_it_is_said_how_they_are_learned_from() -> None:
    batch = pa.RecordBatch.from_pydict({"x": [f"a film of {i} scenes" for i in range(60)]})
    with pytest.raises(
        DataError, match=r"free text\); to learn from the texts say data=text data\.text=x, or check data\.label"
    ):
        found_columns(surveyed(batch, np.zeros(60, bool), []), table_config())


DECIMALS = {
    "a comma before decimals": (["3,14", "0,5", "12", "NA"], ",", [3.14, 0.5, 12, None]),
    "and dots between thousands": (["1.234,5", "1.234", "7,25", "12.345.678"], ",", [1234.5, 1234, 7.25, 12345678]),
    "commas between thousands": (["1,234.5", "12", "3.25", "1,234,567"], ".", [1234.5, 12, 3.25, 1234567]),
    "as programs write them": (["1.5", "2", "1e3", ".5"], "", [1.5, 2, 1000, 0.5]),
}


@pytest.mark.parametrize("name", DECIMALS)
@pytest.mark.parametrize("portions", [1, 4])
def test_numbers_are_read_as_their_decimals_are_written(name: str, portions: int) -> None:
    cells, sign, values = DECIMALS[name]
    told = found(cells, {}, portions)
    column = next(column for column in told.columns if column.name == "x")
    assert (column.type, column.decimal) == ("number", sign)
    batch = pa.RecordBatch.from_pydict({"x": cells, "other": ["1.5"] * 4})
    rows, problems = stored_rows(batch, told.columns)
    assert problems == {}
    assert rows[:, 0].tolist() == pytest.approx([math.nan if value is None else value for value in values], nan_ok=True)


def test_what_is_before_decimals_is_the_same_in_all_columns() -> None:
    cells = {"x": ["1,234", "2,345", "3,456"], "y": ["1.5", "2.5", "9"]}
    batch = pa.RecordBatch.from_pydict({**cells, "z": ["0,5", "1,25", "7,5"]})
    survey = surveyed(batch, np.zeros(3, bool), [])
    told = found_columns(survey, table_config())
    assert {own.name: own.decimal for own in told.columns} == {"x": ",", "y": "", "z": ","}
    assert told.notes == [
        "numbers have a comma before their decimals in 2 columns (x, z): '1,234' is 1.234; say data.decimal=. if that is wrong"
    ]
    alone = surveyed(batch.select(["x"]), np.zeros(3, bool), [])
    unsaid = found_columns(alone, table_config())
    assert [(own.type, own.decimal) for own in unsaid.columns] == [("category", "")]
    assert "the comma in '1,234' may be before decimals or between thousands" in unsaid.notes[0]
    for sign, value in ((",", 1.234), (".", 1234)):
        said = found_columns(alone, table_config(decimal=sign))
        assert stored_rows(batch, said.columns)[0][0, 0] == pytest.approx(value)


def test_dots_between_thousands_are_known_beside_commas_before_decimals() -> None:
    many = [f"{1 + i % 900}.{(7 * i) % 1000:03}" for i in range(1099)]
    batch = pa.RecordBatch.from_pydict({"x": many, "z": [f"{i},5" for i in range(1, 1100)]})
    told = found_columns(surveyed(batch, np.zeros(len(batch), bool), []), table_config())
    assert [own.decimal for own in told.columns] == [",", ","]
    assert stored_rows(batch, told.columns)[0][899].tolist() == [900293, 900.5]
    plain = found_columns(surveyed(batch.select(["x"]), np.zeros(len(batch), bool), []), table_config())
    assert [own.decimal for own in plain.columns] == [""]


def test_few_rows_are_told_what_suits_them() -> None:
    batch = pa.RecordBatch.from_pydict({"x": ["1.5", "2.5", "3.5"], "y": ["a", "b", "a"]})
    survey = surveyed(batch, np.zeros(3, bool), [])

    def notes(num: int, **keys: Any) -> str:
        return " ".join(lay(np.zeros((num, 1), np.int64), survey, table_config(**keys), str).notes)

    assert "2,499 rows: with fewer than 2,500 a narrower network" in notes(2499, bins=48)
    assert "regatta run preset=small-table" in notes(3, bins=9)
    assert "small-table" not in notes(2500, bins=48) + notes(3, bins=8)


@pytest.mark.parametrize("start", [0, 1, 1000])
@pytest.mark.parametrize("portions", [1, 3])
def test_rows_that_are_judged_or_rejected_have_their_numbers_too(start: int, portions: int) -> None:
    num = 1500  # more than are looked at for numbers as measured
    batch = pa.RecordBatch.from_pydict({"x": [str(start + i) for i in range(num)], "other": ["1.5", "2.5", "4"] * 500})
    judged = np.random.default_rng(0).random(num) < 0.3
    size = num // portions
    whole, *more = (surveyed(batch.slice(at, size), judged[at : at + size], []) for at in range(0, num, size))
    for own in more:
        whole = merged(whole, own)
    assert "it numbers the rows" in found_columns(whole, table_config()).left_out["x"]
