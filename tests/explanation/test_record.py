"""What was found comes back as it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.artifacts import write_json
from pipeline.errors import StorageError
from pipeline.explanation.record import (
    Explained,
    Importance,
    read_explanations,
    read_importance,
    write_explanations,
    write_importance,
)


def test_explanations_come_back_by_sample(tmp_path: Path) -> None:
    every = [Explained(3, 2**63 + 1, 1, 0, 4.25, [0.1, -1 / 3]), Explained(1, 5, 0, 2, -0.5, [])]
    write_explanations(tmp_path, every)
    assert read_explanations(tmp_path) == {3: every[0], 1: every[1]}


def test_columns_come_back_the_most_important_first(tmp_path: Path) -> None:
    weak = Importance("=town", 40, 5, -0.01, -0.1, 0.08, 0.0, -0.02, 0.02)
    strong = Importance("a", 40, 5, 1.5, 1.2, 1.8, 0.4, 0.3, 0.5)
    of_numbers = Importance("b", 1, 5, 0.5, None, None, None, None, None)
    write_importance(tmp_path, [weak, strong, of_numbers])
    assert read_importance(tmp_path) == [strong, of_numbers, weak]
    assert [one.is_used for one in (strong, of_numbers, weak)] == [True, None, False]


def test_nothing_is_read_where_nothing_was_explained(tmp_path: Path) -> None:
    assert read_explanations(tmp_path) == {}
    assert read_importance(tmp_path) == []


def test_another_form_is_told(tmp_path: Path) -> None:
    write_json(tmp_path / "explanations.json", {"explained": [{"sample": 1}]})
    with pytest.raises(StorageError, match="dvc repro evaluate"):
        read_explanations(tmp_path)
