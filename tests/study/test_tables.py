"""The two tables of a study hold its results whole."""

import dataclasses
import json

import pyarrow.parquet as pq
import pytest

from pipeline.errors import StorageError
from pipeline.study.effects import Outcome
from pipeline.study.result import Result
from pipeline.study.tables import cells_table, curves_table, results_of


def result(name, epochs=2, failure=None, **more):
    rows = []
    for epoch in range(1, epochs + 1):
        train = {"learning_rate": 0.1, "grad_norm": 1.5, "layer_grad_norms": {"dense1": 0.5, "output": 1e-30}}
        speed = {"seconds": 0.1 + epoch, "samples_per_s": 1e5}
        rows.append({"epoch": epoch, "split": "train", "loss": 1 / epoch, "accuracy": 1 / 3, **train, **speed})
        rows.append({"epoch": epoch, "split": "train_clean", "loss": 0.7 / epoch, "accuracy": 0.6})
        rows.append({"epoch": epoch, "split": "val", "loss": 0.1 + 0.2, "accuracy": 0.55})
    metrics = {"val_loss": 0.1 + 0.2, "val_accuracy": 0.55, "best_epoch": 2, "seconds": 1e-9, "num_parameters": 123_456_789}
    about = {"hash": name, "without_code": f"w{name}", "code": "c", "failure": failure, "ended": "epochs", "device": "cpu",
             "num_threads": 2, "num_together": 12, "val_samples": "v", "test_samples": None}  # fmt: skip
    return Result.from_json({**about, "metrics": metrics, "rows": rows, **more})


DIVERGED = [
    {"epoch": 1, "split": "train", "loss": None, "accuracy": None, "learning_rate": 0.1, "grad_norm": None,
     "layer_grad_norms": {"dense1": None, "output": 0.0}, "seconds": 0.1, "samples_per_s": 10.0},
    {"epoch": 1, "split": "val", "loss": None, "accuracy": 0.1},
]  # fmt: skip
RESULTS = {
    "whole": result("a"),
    "failed before its first epoch": result("b", 0, "not finite", metrics={}, ended="not_finite"),
    "diverged": result(
        "c", failure="not finite", metrics={"val_loss": None, "best_epoch": None, "seconds": 1.0}, rows=DIVERGED
    ),
    "without layers": result("d", rows=[{"epoch": 1, "split": "train", "loss": 1.0, "accuracy": 0.5, "learning_rate": 0.1}]),
    "no layer": result("e", rows=[{"epoch": 1, "split": "train", "loss": 1.0, "accuracy": 0.5, "layer_grad_norms": {}}]),
    "chosen by another metric": result("g", rows=[{"epoch": 1, "split": "val", "loss": 1.0, "accuracy": 0.5, "macro_f1": 0.4}]),
    "read on the test split": result("f", metrics={"val_loss": 0.5, "test_loss": 0.25, "test_accuracy": None}),
}


def written(folder, outcomes):
    pq.write_table(cells_table(outcomes), folder / "cells.parquet")
    pq.write_table(curves_table(outcomes), folder / "curves.parquet")
    return folder / "cells.parquet", folder / "curves.parquet"


def test_results_come_back_as_they_were(tmp_path):
    outcomes = [Outcome(f"v{i % 2}", i, value, accepted=i == 0) for i, value in enumerate(RESULTS.values())]
    found = results_of(*written(tmp_path, outcomes))
    assert found == {value.hash: value for value in RESULTS.values()}
    assert [json.dumps(found[v.hash].to_json(), sort_keys=True) for v in RESULTS.values()] == [
        json.dumps(value.to_json(), sort_keys=True) for value in RESULTS.values()
    ], "whole numbers stay whole"


def test_a_run_of_two_variants_comes_back_once(tmp_path):
    outcomes = [Outcome("a", 0, RESULTS["whole"]), Outcome("b", 0, RESULTS["whole"])]
    assert results_of(*written(tmp_path, outcomes)) == {"a": RESULTS["whole"]}


def test_no_runs(tmp_path):
    assert results_of(*written(tmp_path, [])) == {}


def test_the_tables_have_one_row_per_number(tmp_path):
    table = cells_table([Outcome("v", 3, RESULTS["whole"], accepted=True)])
    assert table.num_rows == 5
    row = table.to_pylist()[0]
    assert row == {"variant": "v", "seed": 3, "fold": None, "accepted": True, "hash": "a", "without_code": "wa",
                   "code": "c", "failure": None, "ended": "epochs", "device": "cpu", "num_threads": 2, "num_together": 12,
                   "val_samples": "v", "test_samples": None, "metric": "val_loss",
                   "value": 0.1 + 0.2}  # fmt: skip
    assert curves_table([Outcome("v", 3, RESULTS["whole"])]).column_names == [
        "variant", "seed", "fold", "hash", "epoch", "split", "loss", "accuracy", "mae", "learning_rate", "grad_norm", "seconds",
        "samples_per_s", "layer_grad_norms",
    ]  # fmt: skip


def test_what_the_tables_cannot_hold_is_refused():
    with pytest.raises(TypeError, match="note"):
        Result.from_json({**RESULTS["whole"].to_json(), "note": "?"})
    strange = dataclasses.replace(RESULTS["whole"], rows=[{"epoch": 1, "split": "val", "loss": 1.0, "f1": 0.3}])
    with pytest.raises(AssertionError):
        curves_table([Outcome("v", 0, strange)])


def test_a_torn_or_foreign_table_is_named(tmp_path):
    cells, curves = written(tmp_path, [Outcome("v", 0, RESULTS["whole"])])
    with pytest.raises(StorageError, match=r"curves\.parquet: lacks the columns .*metric"):
        results_of(curves, cells)
    curves.write_bytes(curves.read_bytes()[:50])
    with pytest.raises(StorageError, match=r"curves\.parquet: missing or not a whole table"):
        results_of(cells, curves)
    with pytest.raises(StorageError, match=r"none\.parquet: missing"):
        results_of(tmp_path / "none.parquet", curves)
