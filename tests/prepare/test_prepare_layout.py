from __future__ import annotations

import pytest

from pipeline.prepare.sources.layout import beside_of, is_hidden, is_of_split_alone, split_and_frame, split_in_name
from pipeline.schema.data import DataConfig


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-00000-of-00002.parquet", "train"),
        ("cifar10_test.parquet", "test"),
        ("TRAIN.csv", "train"),
        ("trainingSet.csv", "train"),
        ("validTable.csv", "val"),
        ("constrained.csv", None),
        ("train_test.csv", None),
    ],
)
def test_the_split_in_a_files_name(name: str, split: str | None) -> None:
    assert split_in_name(name) == split


@pytest.mark.parametrize(
    ("name", "said", "alone"),
    [
        ("train", ("train", "{}"), True),
        ("Testing", ("test", "{}"), True),
        ("training_set", ("train", "{}_set"), True),
        ("testSet", ("test", "{}set"), True),
        ("val2017", ("val", "{}2017"), True),
        ("asl_alphabet_train", ("train", "asl_alphabet_{}"), False),
        ("bullet train", ("train", "bullet {}"), False),
        ("train_test", None, False),
        ("contest", None, False),
        ("Trainer", None, False),
    ],
)
def test_the_split_in_a_folders_name(name: str, said: tuple[str, str] | None, alone: bool) -> None:
    assert split_and_frame(name) == said
    assert is_of_split_alone(said[1] if said else "x") == alone


class Texts(DataConfig):
    sample_files = frozenset({"txt", "md"})
    beside_files = frozenset({"png"})


def test_which_files_are_samples_is_asked_of_the_kind() -> None:
    is_beside = beside_of(Texts)
    for name in ("1.txt", "Letter.MD", "1.wav", "1"):
        assert not is_beside(name), name
    for name in ("README.md", "license.txt", "LICENSE", "labels.csv", "1.json", "1.PNG"):
        assert is_beside(name), name


def test_names_that_are_no_samples() -> None:
    is_beside = beside_of()
    for name in ("Thumbs.db", "desktop.ini", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information", "._1.png"):
        assert is_hidden(name), name
    for name in ("1.txt", "1.JSON", "labels.csv", "LICENSE", "README", "readme[1].txt", "Makefile"):
        assert is_beside(name), name
    for name in ("1.png", "1", "license.png", "n02085620_10074", "1.npy", "txt", "Thumbs.jpg"):
        assert not is_hidden(name), name
        assert not is_beside(name), name
