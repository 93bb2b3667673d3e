"""Tables whose rows are samples: how they are read, and a table of cases of bad input with the answer to each."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_samples import file_bytes, placed, rejected
from table_samples import HEADER, people, stored, table_config, write_lines

from pipeline.data.dataset import Dataset
from pipeline.errors import ConfigError, DataError
from pipeline.kinds.table import fitting
from pipeline.kinds.table.reading import row_numbers
from pipeline.prepare import parallel
from pipeline.prepare.sources import open_source, row_batches

Build = Callable[..., Dataset]
LENIENT = {"max_bad_fraction": 0.9}


class Case(NamedTuple):
    """A table, the keys, and what is said: of a refusal, or by place in rejected.csv and in the notes."""

    lines: list[str]
    refused: str | None = None
    listed: Mapping[str, str] = MappingProxyType({})
    noted: str = ""
    keys: Mapping[str, Any] = MappingProxyType({})
    test: list[str] | None = None
    """Lines of a given test table."""


def numbered(num: int = 40, cell: str = "{i}.5", start: int = 0) -> list[str]:
    """Rows of a number, a category and a label."""
    return [f"{cell.format(i=(7 * i) % 41)},{'xyz'[i % 3]},{'ab'[i % 2]}" for i in range(start, start + num)]


N = ["num,cat,label"]
CASES = {
    "a row with fewer fields, and one with more": Case(
        [*N, *numbered(10), "1.5,x", *numbered(20, start=10), "1.5,x,a,b", *numbered(10, start=30)],
        listed={"t.csv:12": "the line has 2 fields, the header 3", "t.csv:33": "the line has 4 fields, the header 3"},
    ),
    "a quoted line break, which takes two lines": Case(
        [*N, '3.25,"x', 'y",a', *numbered(38), "7.5", *numbered(4, start=38)],
        listed={"t.csv:42": "the line has 1 fields, the header 3"},
    ),
    "blank lines, also before the names": Case(
        ["", "", *N, *numbered(10), "", *numbered(20, start=10), "1.5,x", ""],
        listed={"t.csv:35": "the line has 2 fields, the header 3"},
        noted="2 columns: 1 of numbers, 1 of categories",
    ),
    "a quote that is never closed": Case(
        [*N, *numbered(20), '3.25,"x,a', *numbered(20)], refused=r"t\.csv, line 22: a quote is opened here and never closed"
    ),
    "two columns of one name": Case(
        ["num,num,label", *numbered()], refused="two columns are named 'num'; rename one in its first line"
    ),
    "no line of names": Case(numbered(), refused=r"regatta run 'data\.header=\[c1,c2,label\]'"),
    "no line of names, a value of the label's column as its name": Case(
        numbered(),
        keys={"label": "a"},
        refused=r"looks like a row \(0\.5, x, a\)\. .* regatta run data\.label=label 'data\.header=\[c1,c2,label\]'",
    ),
    "no line of names, equal cells in it": Case(
        [f"{i},0,0,{'ab'[i % 2]}" for i in range(40)], refused=r"regatta run 'data\.header=\[c1,c2,c3,label\]'"
    ),
    "names that are counted": Case(
        ["0,1,2", *numbered()], keys={"label": "2"}, noted="2 columns: 1 of numbers, 1 of categories"
    ),
    "a column of the name of a value": Case(
        ["num,a,label", *[f"{i}.5,{'ab'[i % 2]},{'xy'[i % 2]}" for i in range(40)]], noted="1 of categories"
    ),
    "names that are written again": Case(
        [*N, *numbered(), *N, *N, *numbered(12, start=40)], noted="because of 2 cells such as 'num'"
    ),
    "no line of names, named": Case(numbered(), keys={"header": ["num", "cat", "label"]}, noted="2 columns: 1 of numbers"),
    "names that are not as many as the fields": Case(
        numbered(),
        keys={"header": ["num", "cat", "more", "label"]},
        refused=r"data.header has 4 names, and a line has 3 fields \(0.5, x, a\).* \"data.header=\[num,cat,more\]\"",
    ),
    "the label's column is missing": Case(
        [*N, *numbered()],
        keys={"label": "price"},
        refused=r"no column 'price', which data\.label names; it has 3 columns \(num, cat, label\)\. Name another: regatta run",
    ),
    "a column of a name that resembles another": Case(
        [*N, *numbered()],
        keys={"label": "lable", "time": "nun"},
        refused=r"Did you mean 'label' and 'num'\? Say this:\n  regatta run data\.label=label data\.time=num ",
    ),
    "columns of texts as several labels": Case(
        ["num,cat,kind", *numbered()],
        keys={"label": ["cat", "kind"]},
        refused=r"and 'kind' holds 'a', 'b'\. Say one of:\n  regatta run data\.label=cat   # predicts cat alone",
    ),
    "columns of numbers as several labels": Case(
        ["a,b,c", *[f"{i},{i % 7},{i % 5}.5" for i in range(40)]],
        keys={"label": ["b", "c"]},
        refused=r"regatta run data\.target=number   # predicts their numbers",
    ),
    "a column of texts as numbers": Case(
        [*N, *numbered()],
        keys={"number": ["cat"]},
        refused=r"data\.number: column 'cat' has no numbers, only cells such as '[xyz]'",
    ),
    "names that are those of the first line": Case(
        [*N, *numbered()], keys={"header": ["num", "cat", "label"]}, refused="its first line has the names of data.header"
    ),
    "all labels equal": Case([*N, *[row[:-1] + "a" for row in numbered()]], refused="all 40 samples have the class 'a'"),
    "labels that are missing": Case(
        [*N, *numbered(), "1.25,x,", "2.25,y,"], listed={"t.csv:42": "label missing", "t.csv:43": "label missing"}
    ),
    "labels that may stand for missing": Case([*N, *numbered(), *["1.25,x,NaN", "2.25,y,NaN"] * 5], noted="'NaN': 10 of 50"),
    "no column but the label": Case(["label", *"ab" * 20], refused="no column beside the label's"),
    "a column of numbers that is one of words in test": Case(
        [*N, *numbered()],
        test=[*N, *numbered(8, start=50), "many,x,a"],
        listed={"test/test.csv:10": "column 'num' says 'many', no finite number, and the column is of numbers"},
    ),
    "infinite numbers": Case(
        [*N, *numbered(), "inf,x,a", "-Infinity,y,b", "1e300,z,a"],
        listed={
            "t.csv:42": "column 'num' says 'inf', no finite number, and the column is of numbers",
            "t.csv:43": "column 'num' says '-Infinity', no finite number, and the column is of numbers",
            "t.csv:44": "column 'num' says '1e300', more than float32 holds",
        },
    ),
    "dates of which some are none": Case(
        [*N, *numbered(cell="2024-01-{i:02}"), "soon,x,a"][:1]
        + [f"2024-03-{1 + i % 28:02},x,{'ab'[i % 2]}" for i in range(40)]
        + ["2024-02-30,x,a"],
        noted="column 'num' is not taken as dates because of 1 cell such as '2024-02-30'; data.date=[num] takes it so",
    ),
    "dates of which some are none, taken so": Case(
        [*N, *[f"2024-03-{1 + i % 28:02},x{i % 3},{'ab'[i % 2]}" for i in range(40)], "2024-02-30,x1,a"],
        keys={"date": ["num"]},
        listed={"t.csv:42": "column 'num' says '2024-02-30', which is no date (y-m-d) as its training cells are"},
    ),
    "numbers of which some are none": Case(
        [*N, *numbered(), "12 kg,x,a"],
        noted="column 'num' is not taken as numbers because of 1 cell such as '12 kg'; data.number=[num] takes it so",
    ),
    "a column that is named and there is none": Case(
        [*N, *numbered()], keys={"category": ["zip"]}, refused=r"data\.category: there is no column 'zip'"
    ),
    "not UTF-8": Case(
        [*N, *numbered(), "1.5,caf\udce9,a"],
        refused=r"byte \d+ is not UTF-8 \(0xe9, .* with `iconv -f WINDOWS-1252 -t UTF-8 .*t\.csv > NEW`",
    ),
    "labels of test that end with a dot": Case(
        [*N, *numbered()],
        test=[*N, *[row + "." for row in numbered(8, start=50)]],
        refused=r"They differ by '\.' at the end, which `regatta run data\.label_strip=\.`",
    ),
    "labels of test that end with a dot, taken away": Case(
        [*N, *numbered()],
        test=[*N, *[row + "." for row in numbered(8, start=50)]],
        keys={"label_strip": "."},
        noted="2 columns: 1 of numbers, 1 of categories",
    ),
    "a category that only test has": Case(
        [*N, *numbered()],
        test=[*N, *numbered(8, start=50), "1.25,new,a"],
        noted="column 'cat': 1 row of val or test with what training never says, such as 'new'; taken as another category",
    ),
    "test lacks a column": Case(
        [*N, *numbered()], test=["num,label", "1.5,a", "2.5,b"], refused=r"no column 'cat', which train\.csv has"
    ),
    "nothing but blank lines": Case(["", "", ""], refused="empty; its first line must name the columns"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_listed_or_refused_with_the_mend(name: str, tmp_path: Path, build_table: Build) -> None:
    case = CASES[name]
    path = tmp_path / ("train.csv" if case.test else "t.csv")
    path.write_bytes("\n".join([*case.lines, ""]).encode("utf-8", "surrogateescape"))
    keys: dict[str, Any] = {"path": str(path)}
    if case.test:
        write_lines(tmp_path / "test.csv", case.test[0], case.test[1:])
        keys = {"train_path": str(path), "test_path": str(tmp_path / "test.csv")}
    if case.refused:
        with pytest.raises(DataError, match=case.refused):
            build_table(LENIENT, **keys, **case.keys)
        return
    dataset = build_table(LENIENT, **keys, **case.keys)
    assert {place: said for place, said in rejected(dataset).items() if not said.startswith("exact")} == case.listed
    assert any(case.noted in note for note in dataset.manifest.notes), dataset.manifest.notes


def test_cells_are_stored_as_what_their_column_is(tmp_path: Path, build_table: Build) -> None:
    dataset = build_table(path=str(write_lines(tmp_path / "t.csv", HEADER, people())))
    notes = dataset.manifest.notes
    assert "3 columns: 1 of numbers, 1 of categories, 1 of dates" in notes
    assert any(note.startswith("column 'name' is left out: 60 different texts such as 'person 0', an id") for note in notes)
    assert any("column 'city' has 'NA' 15 times, taken as a category like any other" in note for note in notes)
    names = [own["name"] for own in dataset.manifest.fit["stored"]]
    assert names == ["age", "city", "joined (days)", "joined (month)", "joined (weekday)"]
    assert [column["values"] for column in dataset.manifest.fit["columns"]] == [[], ["007", "NA", "Oslo", "Rome"], []]
    rows = stored(dataset)
    first = rows["t.csv:2"]  # person 0: 20.0, Oslo, 2000-01-01, a Saturday
    assert first.tolist() == [20.0, 2.0, 10957.0, 0.0, 5.0]
    assert math.isnan(rows["t.csv:11"][0])
    assert rows["t.csv:5"][1] == 0.0


def test_same_bytes_in_any_order_of_rows_and_columns_and_on_any_number_of_workers(
    tmp_path: Path, build_table: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = people(90)
    alone = build_table(path=str(write_lines(tmp_path / "t.csv", HEADER, lines)))
    monkeypatch.setattr(parallel, "PATIENCE_S", 0.0)
    monkeypatch.setattr(row_batches, "_PORTION_BYTES", 1000)
    names = [f"{split}/{part}.npy" for split in ("train", "val", "test") for part in ("inputs", "ids", "labels")]
    again = build_table(path=str(tmp_path / "t.csv"), workers=2)
    assert file_bytes(again) == file_bytes(alone)
    turned = [",".join(line.split(",")[::-1]) for line in lines[::-1]]
    other = build_table(path=str(write_lines(tmp_path / "u.csv", "label,joined,city,age,name", turned)))
    assert other.manifest.source_digest == alone.manifest.source_digest
    assert [other.split("train").ids.tobytes(), other.split("test").labels.tobytes()] == [
        alone.split("train").ids.tobytes(),
        alone.split("test").labels.tobytes(),
    ]
    assert names


def test_packed_tables_tabs_and_parquet_hold_the_same_rows(tmp_path: Path, build_table: Build) -> None:
    lines = people()
    plain = build_table(path=str(write_lines(tmp_path / "t.csv", HEADER, lines)))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    write_lines(tmp_path / "t.tsv", HEADER.replace(",", "\t"), [line.replace(",", "\t") for line in lines])
    columns = dict(zip(HEADER.split(","), zip(*(line.split(",") for line in lines), strict=True), strict=True))
    ages = [float(age) if age else None for age in columns.pop("age")]
    texts = {name: pa.array(cells).dictionary_encode() for name, cells in columns.items()}
    pq.write_table(pa.table({"age": ages, **texts}), tmp_path / "t.parquet", row_group_size=17)
    for name in ("t.csv.gz", "t.tsv", "t.parquet"):
        found = build_table(path=str(tmp_path / name))
        assert found.manifest.fit["columns"] == plain.manifest.fit["columns"], name
        np.testing.assert_array_equal(cells_of(found), cells_of(plain))


def cells_of(dataset: Dataset) -> np.ndarray[Any, Any]:
    """All stored cells, column by column in order: a number in Parquet is written otherwise than in CSV, so ids differ."""
    return np.sort(np.concatenate([dataset.split(name).inputs for name in ("train", "val", "test")]), axis=0)


def test_parquet_cells_that_are_none_are_refused(tmp_path: Path, build_table: Build) -> None:
    pq.write_table(pa.table({"pixels": [[1, 2]] * 4, "label": ["a", "b"] * 2}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"column 'pixels' is of type list.*data\.ignore=\[pixels\]"):
        build_table(path=str(tmp_path / "t.parquet"))


def test_exact_copies_and_groups_are_as_for_other_kinds(tmp_path: Path, build_table: Build) -> None:
    lines = [f"{i % 90}.5,{i % 90 % 14},{'ab'[i % 2]}" for i in range(120)]
    dataset = build_table(path=str(write_lines(tmp_path / "t.csv", "num,who,label", lines)), group="who")
    assert dataset.manifest.shape == [1]
    by_group: dict[str, set[str]] = {}
    for name, split in placed(dataset).items():
        by_group.setdefault(lines[int(name.rpartition(":")[2]) - 2].split(",")[1], set()).add(split)
    assert {len(splits) for splits in by_group.values()} == {1}
    whole = build_table(path=str(tmp_path / "t.csv"))
    assert "30 samples are exact copies of others in their split" in whole.manifest.notes


def test_a_folder_of_tables_gives_splits_by_their_names(tmp_path: Path, build_table: Build) -> None:
    write_lines(tmp_path / "train.csv", HEADER, people(50))
    write_lines(tmp_path / "test.csv", HEADER, people(10, start=50))
    dataset = build_table(path=str(tmp_path))
    assert dataset.manifest.counts["test"] == 10
    assert {name.partition(":")[0] for name, split in placed(dataset).items() if split == "test"} == {"test.csv"}


@pytest.mark.parametrize(("num", "most"), [(2000, 1600), pytest.param(10_000, fitting.MOST_INPUTS, marks=pytest.mark.slow)])
def test_thousands_of_columns_are_taken_in_fewer_pieces(
    tmp_path: Path, build_table: Build, monkeypatch: pytest.MonkeyPatch, num: int, most: int
) -> None:
    monkeypatch.setattr(fitting, "MOST_INPUTS", most)
    values = np.random.default_rng(0).integers(0, 1000, (40, num))
    lines = [",".join(map(str, row)) + f",{'ab'[i % 2]}" for i, row in enumerate(values.tolist())]
    header = ",".join([*(f"c{i}" for i in range(num)), "label"])
    dataset = build_table(path=str(write_lines(tmp_path / "t.csv", header, lines)))
    assert dataset.manifest.shape == [num]
    assert dataset.manifest.fit["num_inputs"] == num
    said = f"numbers have at most 1 pieces each and no exact values, so that a row has {num:,} inputs"
    assert said in dataset.manifest.notes


def test_rows_are_numbered_by_their_cells_whatever_the_order_of_columns() -> None:
    one = pa.RecordBatch.from_pydict({"a": ["1", "x\x1f", ""], "b": ["2", "y", "x"]})
    numbers = row_numbers(one)
    assert len({*numbers.tolist()}) == 3
    np.testing.assert_array_equal(row_numbers(one.select(["b", "a"])), numbers)
    moved = pa.RecordBatch.from_pydict({"a": ["x"], "b": ["\x1fy"]})
    assert row_numbers(moved)[0] not in numbers
    np.testing.assert_array_equal(row_numbers(one.slice(1)), numbers[1:])


def test_times_labels_splits_and_groups_are_no_contents(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "t.csv", "when,who,part,num,label", ["2024-01-01,ann,train,1,a", "2024-01-02,bob,train,2,b"])
    portion = next(open_source(table_config(path=str(path), split="part", group="who", ignore=["when"])).read())
    assert portion.contents.schema.names == ["num"]
    assert [list(said) for said in (portion.groups, portion.splits, portion.rows)] == [
        ["ann", "bob"],
        ["train", "train"],
        [2, 3],
    ]


def test_columns_of_times_and_groups_may_be_ignored_as_well() -> None:
    data = table_config(time="when", group="who", ignore=["when", "who"])
    assert data.ignore == ["when", "who"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"number": ["a"], "category": ["a"]}, "number and category both name the column 'a'"),
        ({"number": ["a", "a"]}, "number names the column 'a', which may be named once"),
        ({"label": "a", "ignore": ["a"]}, "ignore names the column 'a', which is no input but the label's; take it out"),
        ({"label": "a", "number": ["a"]}, "take it out of number; say target = number to predict a number"),
        ({"time": "a", "category": ["a"]}, "category names the column 'a', which is no input but the time's"),
        ({"label": "a", "group": "a"}, "label and group both name the column a"),
        ({"split": "a", "group": "a"}, "group and split both name the column a"),
        ({"header": ["a", "a"]}, "each column needs a name of its own"),
        ({"source": "csv"}, "source = csv: data of the kind table need source = table"),
    ],
)
def test_keys_that_say_two_things_are_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        table_config(**keys)


def test_labels_with_a_comma_before_decimals_are_numbers(tmp_path: Path, build_table: Build) -> None:
    lines = [f"{i},5;{'xyz'[i % 3]};1.{i:03},{i % 10}5" for i in range(80)]
    path = str(write_lines(tmp_path / "t.csv", "num;cat;price", lines))
    dataset = build_table(path=path, label="price")
    assert dataset.manifest.targets == ["price"]
    values = np.concatenate([np.asarray(dataset.split(name).labels) for name in ("train", "val", "test")])
    assert sorted(values.tolist()) == pytest.approx(sorted(1000 + i + (i % 10) / 10 + 0.05 for i in range(80)))
    assert "column 'price' has numbers with a comma before decimals: '1.000,05' is 1000.05; say data.decimal=. if that is " in (
        " ".join(dataset.manifest.notes)
    )


def test_commas_that_can_be_read_in_two_ways_are_asked_about(tmp_path: Path, build_table: Build) -> None:
    lines = [f"{i};{'xyz'[i % 3]};{1 + i},{100 + i}" for i in range(80)]
    path = str(write_lines(tmp_path / "t.csv", "num;cat;price", lines))
    with pytest.raises(DataError, match=r"the comma in '1,100' may be before decimals or between thousands\. Say one of:"):
        build_table(path=path, label="price")
    assert min(build_table(path=path, label="price", decimal=".").split("train").labels) >= 1100
    assert max(build_table(path=path, label="price", decimal=",").split("train").labels) < 81


def test_a_few_labels_that_are_no_numbers_are_no_classes(tmp_path: Path, build_table: Build) -> None:
    lines = [f"{i},{'xyz'[i % 3]},{'12OO' if i == 17 else i * 3.5}" for i in range(80)]
    path = str(write_lines(tmp_path / "t.csv", "num,cat,price", lines))
    said = r"'price' holds numbers in 79 of 80 labels, and something else in 1, such as '12OO' \(t.csv:19\)\. Mend the table"
    with pytest.raises(DataError, match=said + r", or say one of:\n  regatta run data.target=number   # .* rejects 1 row\n"):
        build_table(path=path, label="price")
    dataset = build_table(LENIENT, path=path, label="price", target="number")
    assert rejected(dataset) == {"t.csv:19": "label '12OO' is not a number"}


def test_a_label_of_many_numbers_is_a_number_to_predict(tmp_path: Path, build_table: Build) -> None:
    lines = [f"{i},{'xyz'[i % 3]},{i * 3.5 + 100}" for i in range(80)]
    dataset = build_table(path=str(write_lines(tmp_path / "t.csv", "rooms,town,price", lines)), label="price", number=["rooms"])
    assert (dataset.manifest.task, dataset.manifest.shape) == ("number", [2])
    for name in ("train", "val", "test"):
        split = dataset.split(name)
        np.testing.assert_allclose(np.asarray(split.labels).ravel(), split.inputs[:, 0] * 3.5 + 100)
