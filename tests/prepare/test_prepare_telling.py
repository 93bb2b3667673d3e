from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_samples import prepare_config, table_config, write_table

from pipeline.data.dataset import Manifest, open_dataset
from pipeline.kinds.leaks import Feature
from pipeline.prepare.build import build_dataset
from pipeline.prepare.telling import _cells, _judged


def notes(folder: Path, header: Sequence[str], rows: Sequence[Sequence[object]], **data: Any) -> list[str]:
    path = write_table(folder / "t.csv", [list(header), *([str(cell) for cell in row] for row in rows)])
    (folder / "out").mkdir(exist_ok=True)
    return build_dataset(table_config(path, **data), prepare_config(), folder / "out", "code", 1).notes


def made(num: int, cell: Callable[[int, np.random.Generator], object]) -> list[list[object]]:
    """Rows of noise, the label, and a cell that may know it."""
    draw = np.random.default_rng(0)
    labels = [i % 2 for i in range(num)]
    return [[round(draw.normal(), 6), "ab"[k], cell(k, draw)] for k in labels]


TELLING: dict[str, Callable[[int, np.random.Generator], object]] = {
    "a category": lambda k, draw: ("paid", "unpaid")[k],
    "a number": lambda k, draw: round(draw.normal() + 40 * k, 4),
    "a number of few values": lambda k, draw: 3 * k + draw.integers(0, 2),
    "missing or not": lambda k, draw: "" if k else round(draw.normal(), 4),
    "not one range": lambda k, draw: round((1 - k) * draw.choice([-50, 50]) + draw.normal(), 4),
}


@pytest.mark.parametrize("cell", TELLING.values(), ids=TELLING)
def test_a_column_that_knows_the_label_is_named(tmp_path: Path, cell: Callable[[int, np.random.Generator], object]) -> None:
    [note] = [note for note in notes(tmp_path, ["x", "label", "code"], made(600, cell)) if "alone says" in note]
    assert note.startswith("column 'code' alone says the class of ")
    assert note.endswith('leave it out: regatta run "data.ignore=[code]"')


OTHERS: dict[str, Callable[[int, np.random.Generator], object]] = {
    "noise": lambda k, draw: round(draw.normal(), 4),
    "a good number": lambda k, draw: round(draw.normal() + 2 * k, 4),
    "often right": lambda k, draw: "ab"[k if draw.random() < 0.9 else 1 - k],
}


@pytest.mark.parametrize("cell", OTHERS.values(), ids=OTHERS)
def test_a_column_that_helps_is_not(tmp_path: Path, cell: Callable[[int, np.random.Generator], object]) -> None:
    assert not [note for note in notes(tmp_path, ["x", "label", "code"], made(600, cell)) if "alone says" in note]


def test_several_are_left_out_by_one_command_beside_what_is_left_out_already(tmp_path: Path) -> None:
    rows = [[*row, ("n", "y")[row[1] == "b"], i] for i, row in enumerate(made(600, TELLING["a category"]))]
    header = ["x", "label", "tax code", "out", "number"]
    [note] = [note for note in notes(tmp_path, header, rows, ignore=["number"]) if "alone says" in note]
    assert "column 'tax code' alone says" in note
    assert "column 'out' alone says" in note
    assert note.endswith("regatta run \"data.ignore=[number,'tax code',out]\"")


def test_of_few_validation_samples_nothing_is_told(tmp_path: Path) -> None:
    assert not [note for note in notes(tmp_path, ["x", "label", "code"], made(100, TELLING["a category"])) if "alone" in note]


def test_a_rare_class_is_not_known_by_never_naming_it() -> None:
    labels = np.r_[np.zeros(990, np.int64), np.ones(10, np.int64)]
    constant = Feature("x", np.zeros(2000), True, "x")
    found = _judged(constant, 1000, labels, labels)
    assert found is not None
    assert found.left == 1.0
    assert _judged(constant, 1000, labels, np.zeros(1000, np.int64)) is None


def test_a_number_as_answer_is_known_by_its_variance() -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(size=3000)
    for answer, known in ((3 * values + 0.01 * draw.normal(size=3000), True), (draw.normal(size=3000), False)):
        found = _judged(Feature("x", values, True, "x"), 2000, answer[:2000], answer[2000:])
        assert found is not None
        assert (found.left < 0.05) == known
    assert _judged(Feature("x", values, True, "x"), 2000, values[:2000], np.ones(1000)) is None


def test_cells_are_cut_by_training_alone() -> None:
    few = Feature("x", np.array([1.0, 2.0, np.nan, 1.0, 5.0, np.nan, 2.0]), False, "x")
    assert _cells(few, 4).tolist() == [1, 2, 0, 1, 3, 0, 2]
    empty = Feature("x", np.array([np.nan, np.nan, 4.0]), True, "x")
    assert _cells(empty, 2).tolist() == [0, 0, 0]
    many = Feature("x", np.arange(4000.0) % 2000, True, "x")
    found = _cells(many, 2000)
    assert found[:2000].max() == 100
    assert np.bincount(found[:2000])[1:].tolist() == [20] * 100
    assert np.array_equal(found[:2000], found[2000:])


def test_rows_that_differ_in_what_is_left_out_or_in_last_digits_are_alike(tmp_path: Path) -> None:
    """Of 300 rows 30 come again with another id, and 30 with another last digit."""
    draw = np.random.default_rng(0)
    rows: list[list[object]] = [
        [f"{i:05d}x", round(draw.normal() * 100, 4), draw.integers(0, 9), "ab"[i % 2]] for i in range(300)
    ]
    rows += [[f"{300 + i:05d}x", *rows[i][1:]] for i in range(30)]
    rows += [[f"{400 + i:05d}x", float(str(rows[i][1])) + 1e-6, *rows[i][2:]] for i in range(30, 60)]
    [note] = [note for note in notes(tmp_path, ["id", "x", "y", "label"], rows) if "resemble" in note]
    num = int(note.split()[0])
    assert 8 <= num <= 35, "those of them that another split has"
    clean = notes(tmp_path, ["id", "x", "y", "label"], rows[:300])
    assert not [note for note in clean if "resemble" in note]


def test_rows_of_few_different_cells_are_equal_by_chance(tmp_path: Path) -> None:
    rows = [[f"{i:05d}x", i % 3, i % 2, "ab"[i % 2]] for i in range(600)]
    assert not [note for note in notes(tmp_path, ["id", "x", "y", "label"], rows) if "resemble" in note]


def test_a_column_that_knows_a_number_is_named(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    rows = [[round(x, 4), round(3 * x + 0.02 * draw.normal(), 4), round(draw.normal(), 4)] for x in draw.normal(size=600)]
    [note] = [note for note in notes(tmp_path, ["cost", "label", "z"], rows) if "alone says" in note]
    assert note.startswith("column 'cost' alone says 9")
    assert "% of the variance in validation" in note


def test_the_dataset_says_which_so_that_the_page_can(tmp_path: Path) -> None:
    def built(cell: Callable[[int, np.random.Generator], object], folder: Path) -> Manifest:
        (folder / "out").mkdir(parents=True)
        rows = [["x", "label", "code"], *([str(each) for each in row] for row in made(200, cell))]
        build_dataset(table_config(write_table(folder / "t.csv", rows)), prepare_config(), folder / "out", "code", 1)
        return open_dataset(folder / "out").manifest

    telling = built(TELLING["a category"], tmp_path / "telling").telling
    assert telling["said"].startswith("column 'code' alone says the class of ")
    assert telling["without"] == "data.ignore=[code]"
    assert built(OTHERS["noise"], tmp_path / "noise").telling == {}
