from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_samples import encoded, picture, write_table

from pipeline.data.dataset import Dataset
from pipeline.prepare.belonging import belonging_notes
from pipeline.prepare.raw import Source

Build = Callable[..., Dataset]


def told(name: str, values: Sequence[object]) -> bool:
    source = Source("single", lambda: iter(()), None, None, cells=lambda: ({name: value} for value in values))
    return bool(belonging_notes(source))


OWNERS = {
    "a customer's number": ("customer_id", [i % 30 for i in range(300)]),
    "a speaker's name": ("speaker", [("ann", "bob", "cid", "dee")[i % 4] for i in range(100)]),
    "camel case": ("callerNo", [f"{i % 40}" for i in range(200)]),
    "ids by another name": ("storeid", [i % 50 for i in range(500)]),
    "one of many that come twice": ("user_id", [i % 160 for i in range(250)]),
    "codes": ("unit", [f"P-{i % 60:03d}" for i in range(600)]),
    "names of many": ("clinic", [f"{'abcdefghij'[i % 10]}{'klmnopqrst'[i // 10 % 10]}" for i in range(1000)]),
}


@pytest.mark.parametrize(("name", "values"), OWNERS.values(), ids=OWNERS)
def test_columns_that_may_own_rows(name: str, values: Sequence[object]) -> None:
    assert told(name, values)


OTHERS = {
    "an id of each row": ("customer_id", list(range(300))),
    "a measurement": ("age", [20 + i % 60 for i in range(600)]),
    "a category": ("colour", [("red", "green", "blue")[i % 3] for i in range(300)]),
    "a kind of owner": ("customer type", [("new", "old", "lost")[i % 3] for i in range(300)]),
    "dates": ("day", [f"2024-01-{1 + i % 28:02d}" for i in range(600)]),
    "sentences": ("text", [f"this is the sentence {chr(97 + i % 26)} of them {i % 60}" for i in range(600)]),
    "one value": ("patient", ["p1"] * 50),
    "few that repeat": ("user", [f"u{i}" if i < 90 else "u0" for i in range(100)]),
    "empty": ("user", [""] * 50),
    "few ids": ("shop_id", [i % 4 for i in range(400)]),
}


@pytest.mark.parametrize(("name", "values"), OTHERS.values(), ids=OTHERS)
def test_columns_that_own_none(name: str, values: Sequence[object]) -> None:
    assert not told(name, values)


def about(dataset: Dataset) -> list[str]:
    return [note for note in dataset.manifest.notes if "belong to them" in note]


def test_the_note_has_the_command_until_it_was_said(tmp_path: Path, build: Build) -> None:
    rows = [["image", "label", "my patient"]]
    for i in range(60):
        (tmp_path / f"{i}.png").write_bytes(encoded(picture(i)))
        rows.append([f"{i}.png", "ab"[i % 2], f"p{i // 4}"])
    path = str(write_table(tmp_path / "t.csv", rows))
    assert about(build("csv", path=path)) == [
        "column 'my patient' has 15 values, about 4.0 times each in 60 rows: if rows belong to them (a customer, a speaker), "
        "rows of one in train and in test make results too good; keep them together: regatta run \"data.group='my patient'\""
    ]
    assert about(build("csv", path=path, group="my patient")) == []


def test_parquet_has_its_columns_looked_at_too_and_given_splits_are_left(tmp_path: Path, build: Build) -> None:
    contents = [encoded(picture(i)) for i in range(60)]
    columns = {"image": contents, "label": ["a", "b"] * 30, "user_id": [i // 4 for i in range(60)], "weight": [0.5] * 60}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    [note] = about(build("parquet", path=str(tmp_path / "t.parquet")))
    assert "column 'user_id' has 15 values" in note
    columns["fold"] = ["train", "val", "test"] * 20
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert about(build("parquet", path=str(tmp_path / "t.parquet"), split="fold")) == []
