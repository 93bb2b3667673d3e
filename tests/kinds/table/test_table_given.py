"""Rows for the predictor: whole, or refused by what they lack."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from table_samples import write_lines

from pipeline.errors import DataError
from pipeline.kinds.table.given import rows_of

LINES = [f"{i % 9},{'xy'[i % 3 == 0]},{'ab'[i % 2]}" for i in range(100)]


@pytest.fixture
def fit(tmp_path, build_table):
    path = write_lines(tmp_path / "t.csv", "size,colour,label", LINES)
    return build_table(path=str(path), ignore=[]).manifest.fit


def test_every_form_gives_the_same_rows(fit):
    rows = [{"size": 3, "colour": "x", "more": 1}, {"size": None, "colour": "y"}]
    columns = {"size": [3, None], "colour": ["x", "y"]}
    expected = rows_of(rows, fit)
    assert expected.shape == (2, 2)
    assert np.isnan(expected[1, 0])
    for samples in (columns, pd.DataFrame(columns), pa.table(columns)):
        np.testing.assert_array_equal(rows_of(samples, fit), expected)


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ([{"size": 3, "colour": "x"}, {"size": 3}], "row 1: no column 'colour'; there are 'size'. Give all 2 columns"),
        ([{"colour": "x"}, {"size": 3, "colour": "x"}], "row 0: no column 'size'"),
        ({"size": [3]}, "no column 'colour'; there are 'size'"),
        ({"size": 3, "colour": "x"}, r"column 'size' has one value, 3, where a list is expected; one row is \[row\]"),
        ([{"size": "large", "colour": "x"}], r"1 of 1 \(100 %\) rows are none of this table .*'large'"),
    ],
)
def test_what_lacks_a_column_or_is_no_cell_of_it_is_refused(samples, said, fit):
    with pytest.raises(DataError, match=said):
        rows_of(samples, fit)


def test_no_rows_are_no_rows(fit):
    assert rows_of([], fit).shape == (0, 2)


def test_cells_are_read_as_prepare_reads_them(tmp_path, build_table):
    lines = [f"{i % 9},{i % 7}5;{i},5;{1 + i % 28:02}.01.2024;{i % 2 == 0};{'ab'[i % 2]}" for i in range(100)]
    path = write_lines(tmp_path / "t.csv", "size;other;when;old;label", lines)
    dataset = build_table(path=str(path))
    columns = {column["name"]: column for column in dataset.manifest.fit["columns"]}
    assert (columns["size"]["decimal"], columns["when"]["order"]) == (",", "d.m.y")
    text = {"size": "3,25", "other": "1.000,5", "when": "31.01.2024", "old": "True"}
    typed = {"size": 3.25, "other": 1000.5, "when": pd.Timestamp("2024-01-31"), "old": True}
    expected = rows_of([text], dataset.manifest.fit)
    assert expected[0, :2].tolist() == [3.25, 1000.5]
    for samples in ([typed], pd.DataFrame([typed]), pa.Table.from_pylist([typed])):
        np.testing.assert_array_equal(rows_of(samples, dataset.manifest.fit), expected)
    np.testing.assert_array_equal(rows_of([text, typed], dataset.manifest.fit), np.repeat(expected, 2, 0))
    words = rows_of([text | {"size": "?", "other": "NaN", "when": "n/a"}], dataset.manifest.fit)
    assert np.isnan(words[0, :5]).all(), "as a table with such words would have been read"
    with pytest.raises(DataError, match="column 'size' says 'large'"):
        rows_of([text | {"size": "large"}], dataset.manifest.fit)
