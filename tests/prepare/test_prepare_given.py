"""Given splits that are there or missing: what is refused says what is missing, and its commands lead on."""

from __future__ import annotations

import itertools
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_samples import data_config, encoded, picture, write_table

from pipeline.errors import DataError
from pipeline.prepare.sources import open_source

State = dict[str, Any]
LABELS = ["a", "b", "a", "b"]
STATES = [states for states in itertools.product(("labelled", "unlabelled", "missing"), repeat=3) if {*states} != {"missing"}]
SOURCES = ("csv", "parquet", "shards", "folder")


def opened(state: State) -> Counter[str]:
    """How many samples each split is given; DataError."""
    kind = state["source"].replace("shards", "parquet")
    portions = list(open_source(data_config(**state | {"source": kind})).read())
    assert [portion.problems for portion in portions if portion.problems] == []
    return Counter(split or "uncut" for portion in portions for split in portion.splits)


def after(state: State, words: list[str]) -> State:
    """The keys after the words to `regatta run`."""
    state = dict(state)
    for word in words:
        key, _, value = word.removeprefix("~").removeprefix("data.").partition("=")
        state[key] = int(value) if value.isdigit() else value
        if word.startswith("~"):
            del state[key]
    return state | {"source": state.pop("data", state["source"])}


def proposed(message: str) -> list[list[str]]:
    return [shlex.split(words) for words in re.findall(r"^  regatta run (.*?)   # ", message, re.MULTILINE)]


def walked(state: State, *before: State) -> list[Counter[str]]:
    """What all commands lead to, however often it is refused on the way; none proposes a state that was before."""
    assert state not in before
    try:
        return [opened(state)]
    except DataError as error:
        return [end for words in proposed(str(error)) for end in walked(after(state, words), state, *before)]


def lay(root: Path, kind: str, split: str, number: int, labelled: bool = True) -> None:
    images = [encoded(picture(10 * number + i)) for i in range(4)]
    if kind == "folder":
        for i, (image, label) in enumerate(zip(images, LABELS, strict=True)):
            place = root / split / label if labelled else root / split
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{i}.png").write_bytes(image)
    elif kind == "csv":
        names = [f"img/{split}{i}.png" for i in range(4)]
        (root / "img").mkdir(exist_ok=True)
        for name, image in zip(names, images, strict=True):
            (root / name).write_bytes(image)
        rows = [[name, label][: 1 + labelled] for name, label in zip(names, LABELS, strict=True)]
        write_table(root / f"{split}.csv", [["image", "label"][: 1 + labelled], *rows])
    else:
        for i, part in enumerate([slice(2), slice(2, 4)] if kind == "shards" else [slice(4)]):
            cells = {"image": images[part]} | ({"label": LABELS[part]} if labelled else {})
            name = f"{split}-0000{i}.parquet" if kind == "shards" else f"{split}.parquet"
            pq.write_table(pa.table(cells), root / name)


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("states", STATES)
def test_no_command_leads_in_a_circle(tmp_path: Path, kind: str, states: tuple[str, str, str]) -> None:
    there = {
        split: state == "labelled" for split, state in zip(("train", "val", "test"), states, strict=True) if state != "missing"
    }
    for number, (split, labelled) in enumerate(there.items()):
        lay(tmp_path, kind, split, number, labelled)
    ends = walked({"source": kind, "path": str(tmp_path)})
    labelled = {split for split, is_so in there.items() if is_so}
    if "train" in labelled and (kind != "shards" or labelled == {*there}):
        uncut = labelled == {"train"}
        assert ends == [Counter({"uncut" if uncut else split: 4 for split in labelled})]
    elif labelled and labelled == {*there} and not (kind == "shards" and len(labelled) > 1):
        assert len(ends) == (3 if len(labelled) == 2 else 1)
        assert all(4 in end.values() for end in ends)


def test_what_the_messages_say(tmp_path: Path) -> None:
    def said(name: str, kind: str, *splits: str, key: str = "path", other: str = "") -> str:
        root = tmp_path / name
        root.mkdir()
        for number, split in enumerate(splits):
            lay(root, kind, split, number, split != other)
        with pytest.raises(DataError) as error:
            opened({"source": kind, key: str(root)} | ({} if key in ("path", "train_path") else {"train_path": "."}))
        return str(error.value).replace(str(root), "D")

    assert said("a", "csv", "test") == (
        "D: only test and no train. Say this:\n  regatta run data.path=D/test.csv   # cuts all splits from it"
    )
    assert said("b", "parquet", "val", "test") == (
        "D: only val and test and no train. Say one of:\n"
        "  regatta run '~data.path' data.train_path=D/val.parquet data.test_path=D/test.parquet   # trains on val.parquet\n"
        "  regatta run data.path=D/val.parquet   # cuts all splits from val.parquet\n"
        "  regatta run data.path=D/test.parquet   # cuts all splits from test.parquet"
    )
    assert said("c", "csv", "train", "test", other="test") == (
        "D: 1 table (test.csv) has no column 'label', so no labels. Say this:\n"
        "  regatta run data.path=D/train.csv   # goes on without test"
    )
    assert said("d", "csv", "train", "test", "sample_submission") == (
        "D: some file names say a split (test, train), but sample_submission.csv does not. Say one of:\n"
        "  regatta run '~data.path' data.train_path=D/train.csv data.test_path=D/test.csv   "
        "# leaves 1 table (sample_submission.csv) out\n"
        "  regatta run data.path=D/train.csv   # cuts all splits from train"
    )
    assert said("e", "csv", "labels", "more") == (
        "D: 2 tables (labels.csv, more.csv), and which one is meant is not said. Say one of:\n"
        "  regatta run data.path=D/labels.csv   # takes labels.csv alone\n"
        "  regatta run data.path=D/more.csv   # takes more.csv alone"
    )
    assert said("f", "shards", "test") == (
        "D: only test and no train. Say this:\n"
        "  regatta run '~data.path' data.train_path=D   # trains on these, and cuts val and test from them"
    )
    assert said("g", "csv", "train", "test", key="train_path") == (
        "D: data.train_path is one split, but 2 tables (test.csv, train.csv) look like several. Say this:\n"
        "  regatta run data.path=D '~data.train_path'   # takes them as the given splits"
    )
    assert said("h", "csv", "labels", "test").splitlines()[1:] == [
        "  regatta run '~data.path' data.train_path=D/labels.csv data.test_path=D/test.csv   # trains on labels.csv",
        "  regatta run data.path=D/labels.csv   # takes labels.csv alone, and cuts all splits from it",
    ]
    assert "move the files of each split into a folder of its own" in said("i", "shards", "val", "test")


def test_a_given_test_table_without_labels(tmp_path: Path) -> None:
    lay(tmp_path, "csv", "train", 0)
    lay(tmp_path, "csv", "test", 1, labelled=False)
    state = {"source": "csv", "train_path": str(tmp_path / "train.csv"), "test_path": str(tmp_path / "test.csv")}
    assert walked(state) == [Counter(train=4)]


def test_a_folder_given_as_a_split_holds_its_tables_whatever_their_name(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "test")):
        (tmp_path / split).mkdir()
        lay(tmp_path / split, "csv", split, number)
    state = {"source": "csv", "train_path": str(tmp_path / "train"), "test_path": str(tmp_path / "test")}
    assert opened(state) == Counter(train=4, test=4)
