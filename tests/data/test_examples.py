"""What `augment` keeps of a few training samples for people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from text_samples import build_texts, policy, reviews, write_jsonl

from pipeline.data.dataset import Dataset
from pipeline.data.examples import COPIES, FILE, Example, read_examples, write_examples
from pipeline.data.view_files import drawn_copies
from pipeline.errors import StorageError

__all__ = ["build_texts"]


def example(name: str, lengths: tuple[int, ...]) -> Example:
    first, *others = (np.arange(length, dtype=np.uint8) for length in lengths)
    return Example(name, first, others)


def test_they_come_back_as_they_were_from_the_same_bytes(tmp_path: Path) -> None:
    kept = [example("gut – ü", (5, 2, 3, 4)), example("bad", (1, 1, 2, 9))]
    write_examples(tmp_path, kept)
    content = (tmp_path / FILE).read_bytes()
    for found, one in zip(read_examples(tmp_path), kept, strict=True):
        assert found.name == one.name
        assert all(map(np.array_equal, [found.original, *found.copies], [one.original, *one.copies]))
    write_examples(tmp_path, kept)
    assert (tmp_path / FILE).read_bytes() == content


def test_none_where_there_is_no_file_and_a_torn_one_is_told(tmp_path: Path) -> None:
    assert read_examples(tmp_path) == []
    write_examples(tmp_path, [example("bad", (5, 2, 3, 4))])
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StorageError, match=r"examples\.npz: not whole .* run `dvc repro --force augment`"):
        read_examples(tmp_path)


def test_copies_are_the_views_of_their_samples_whatever_stands_beside(
    tmp_path: Path, build_texts: Callable[..., Dataset]
) -> None:
    data = build_texts(path=str(write_jsonl(tmp_path / "t.jsonl", reviews(60))))
    own, samples = policy(delete=0.3, swap=0.3), np.array([7, 2, 11])
    together = drawn_copies(data, own, samples, COPIES)
    for i, rows in zip(samples.tolist(), together, strict=True):
        assert len(rows) == 1 + COPIES
        assert np.array_equal(rows[0], data.split("train").sample(i))
        assert len({row.tobytes() for row in rows}) > 1
        [alone] = drawn_copies(data, own, np.array([i]), COPIES)
        assert all(map(np.array_equal, alone, rows))
