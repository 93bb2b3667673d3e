"""What somebody fills in of a row: each column that was learned from, with a value that is one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from table_samples import HEADER, people, write_lines

from pipeline.kinds.fields import fields_of
from pipeline.kinds.table.given import rows_of


def test_columns_with_their_usual_values(tmp_path: Path, build_table) -> None:
    path = write_lines(tmp_path / "t.csv", HEADER, people(120))
    fit = build_table(path=str(path), ignore=["name"]).manifest.fit
    age, city, joined = fields_of("table", fit)
    assert (age.name, age.type, age.values) == ("age", "number", [])
    assert 20 <= float(age.example) <= 61
    assert (city.name, city.type, sorted(city.values)) == ("city", "category", ["007", "NA", "Oslo", "Rome"])
    assert city.example in city.values
    assert (joined.name, joined.type) == ("joined", "date")
    assert "2000-01-01" <= joined.example <= "2019-12-28"
    assert len(rows_of([{field.name: field.example for field in (age, city, joined)}], fit)) == 1


@pytest.mark.parametrize(
    ("cells", "keys", "written"),
    [
        (lambda i: f"{i % 9},5", {"decimal": ","}, r"[3-5](,5)?"),
        (lambda i: f"{i % 28 + 1:02}.03.2021", {}, r"\d\d\.03\.2021"),
        (lambda i: f"{i % 28 + 1:02}/03/2021", {"day_first": True}, r"\d\d/03/2021"),
    ],
)
def test_values_are_written_as_the_data_write_them(cells, keys, written: str, tmp_path: Path, build_table) -> None:
    path = write_lines(tmp_path / "t.tsv", "x\tlabel", [f"{cells(i)}\t{'ab'[i % 2]}" for i in range(112)])
    fit = build_table(path=str(path), **keys).manifest.fit
    [field] = fields_of("table", fit)
    assert re.fullmatch(written, field.example)
    rows_of([{"x": field.example}], fit)


def test_pictures_have_no_fields() -> None:
    assert fields_of("image", {}) == []
