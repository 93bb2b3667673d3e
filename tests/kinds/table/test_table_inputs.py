from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from table_samples import HEADER, people, stored, write_lines

from pipeline.data.dataset import Dataset
from pipeline.errors import DataError
from pipeline.kinds.table.fitting import fit, num_inputs
from pipeline.kinds.table.inputs import as_stored, check_inputs, input_shape, to_input

Build = Callable[..., Dataset]
DETAILS = {
    "columns": [{"name": "n", "type": "number"}, {"name": "c", "type": "category", "values": ["a", "b", "c", "d"]}],
    "left_out": {},
    "rare": 2,
    "bins": 2,
}
NAN = float("nan")


def fitted(rows: list[list[float]], **changes: Any) -> tuple[dict[str, Any], list[str]]:
    values = np.array(rows, np.float32)
    return fit(iter([values[:2], values[2:]]), DETAILS | changes)


ROWS = [[0.0, 0.0], [0.0, 0.0], [2.0, 1.0], [4.0, 1.0], [8.0, 2.0], [NAN, NAN]]


def test_what_is_learned_is_that_of_the_rows_whatever_the_portions() -> None:
    learned, notes = fitted(ROWS)
    number, category = learned["stored"]
    assert (number["grid"], number["exact"], number["missing"]) == ([0.0, 2.0, 8.0], [0.0], 1)
    assert number["mean"] == pytest.approx(2.8)
    assert number["std"] == pytest.approx(np.std([0, 0, 2, 4, 8]))
    assert (category["counts"], category["kept"], category["rest"], category["missing"]) == ([2, 2, 1, 0], [0, 1], True, 1) or (
        category["counts"] == [2, 2, 1, 0]
    )
    assert notes == [
        "column 'c': 1 of 4 texts occur less than 2 times in training, taken as one",
        "column 'c': 1 text never occurs in training, such as 'd'; taken as the rare ones",
    ]
    assert fit(iter([np.array(ROWS, np.float32)]), DETAILS)[0] == learned


def test_numbers_are_in_pieces_and_frequent_values_and_categories_are_switches() -> None:
    learned, _ = fitted(ROWS)
    cast = to_input(learned, (2,), "cpu")
    assert input_shape(learned, (2,)) == (num_inputs(learned["stored"]),) == (8,)
    # pieces [0, 2] and [2, 8], the exact 0, a missing number; categories a, b, the others, a missing one
    expected = {
        (0.0, 0.0): [0, 0, 1, 0, 1, 0, 0, 0],
        (1.0, 1.0): [0.5, 0, 0, 0, 0, 1, 0, 0],
        (5.0, 2.0): [1, 0.5, 0, 0, 0, 0, 1, 0],
        (99.0, 3.0): [1, 1, 0, 0, 0, 0, 1, 0],
        (-9.0, -1.0): [0, 0, 0, 0, 0, 0, 1, 0],
        (NAN, NAN): [0, 0, 0, 1, 0, 0, 0, 1],
    }
    assert cast(torch.tensor(list(expected))).tolist() == list(expected.values())


def test_where_training_has_no_rare_and_no_missing_cells_later_ones_have_no_input() -> None:
    learned, _ = fitted([[1.0, 0.0], [2.0, 0.0], [3.0, 1.0], [4.0, 1.0]])
    cast = to_input(learned, (2,), "cpu")
    assert cast(torch.tensor([[NAN, 3.0], [NAN, -1.0], [NAN, NAN]])).tolist() == [[0.0] * 4] * 3


def test_a_rows_inputs_are_the_same_in_any_batch() -> None:
    rng = np.random.default_rng(0)
    rows = np.stack([rng.normal(size=500), rng.integers(0, 4, 500)], axis=1).astype(np.float32)
    learned, _ = fitted(rows.tolist(), bins=48)
    cast, whole = to_input(learned, (2,), "cpu"), torch.from_numpy(rows)
    together = cast(whole)
    for size in (1, 3, 7, 100):
        assert torch.equal(torch.cat([cast(part) for part in whole.split(size)]), together)


def test_too_many_inputs_are_saved_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.kinds.table.fitting.MOST_INPUTS", 5)
    learned, notes = fitted([[float(i), i % 2] for i in range(40)], bins=16)
    assert learned["num_inputs"] == 3
    assert notes[0] == "numbers have at most 1 pieces each and no exact values, so that a row has 3 inputs"


def test_a_column_without_a_training_cell_or_with_one_value_is_no_trouble() -> None:
    learned, notes = fitted([[5.0, NAN], [5.0, NAN], [5.0, NAN]])
    assert notes[0] == "column 'n' has the same value in every training row"
    assert to_input(learned, (2,), "cpu")(torch.tensor([[5.0, NAN], [6.0, 1.0]])).tolist() == [[1.0, 1.0], [0.0, 0.0]]


def test_rows_as_a_user_has_them_become_those_that_were_stored(tmp_path: Path, build_table: Build) -> None:
    lines = people()
    dataset = build_table(path=str(write_lines(tmp_path / "t.csv", HEADER, lines)))
    rows, learned = stored(dataset), dataset.manifest.fit
    expected = np.stack([rows[f"t.csv:{i + 2}"] for i in range(len(lines))])
    dicts = [dict(zip(HEADER.split(","), line.split(","), strict=True)) for line in lines]
    frame = pd.DataFrame(dicts).assign(age=lambda own: pd.to_numeric(own["age"]))
    for samples in (dicts, frame, pa.Table.from_pandas(frame), {name: list(frame[name]) for name in frame}):
        np.testing.assert_array_equal(as_stored(samples, learned).numpy(), expected)


def test_rows_that_are_none_of_the_table_are_refused_and_unknown_categories_are_told(
    tmp_path: Path, build_table: Build
) -> None:
    learned = build_table(path=str(write_lines(tmp_path / "t.csv", HEADER, people()))).manifest.fit
    row = {"age": 30, "city": "Oslo", "joined": "2020-01-31"}
    with pytest.raises(DataError, match="no column 'city'; there are 'age', 'joined'"):
        as_stored([{"age": 1, "joined": "2020-01-31"}], learned)
    with pytest.raises(DataError, match=r"1 of 2 \(50 %\) rows are none of this table \(row 1: column 'age' says 'old'"):
        as_stored([row, row | {"age": "old"}], learned)
    with pytest.warns(UserWarning, match="column 'city': 1 row with what training never saw, such as 'Bonn'"):
        assert as_stored([row | {"city": "Bonn"}], learned)[0, 1] == -1


def test_other_inputs_than_stored_rows_are_refused() -> None:
    check_inputs(torch.zeros(3, 2), (2,))
    for wrong in (torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3, 4), torch.zeros(2)):
        with pytest.raises(DataError, match=r"expected are rows as stored, float32 of shape \(B, 2\).*Predictor\.rows"):
            check_inputs(wrong, (2,))
