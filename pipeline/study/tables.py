"""A study's results as two tables, and the results that the tables hold: nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pipeline.artifacts import read_parquet
from pipeline.metrics import Monitor, in_row
from pipeline.study.effects import Outcome
from pipeline.study.result import Result

if TYPE_CHECKING:
    import pyarrow as pa

ABOUT = {
    "hash": "string",
    "without_code": "string",
    "code": "string",
    "failure": "string",
    "ended": "string",
    "device": "string",
    "num_threads": "int64",
    "num_together": "int64",
    "val_samples": "string",
    "test_samples": "string",
}
"""What a result says about its run, beside metrics and rows."""
WHOLE = ("best_epoch", "num_epochs", "num_parameters", "num_train")
NUMBERS = ("loss", "accuracy", "mae", "learning_rate", "grad_norm", "seconds", "samples_per_s")
MONITORED = tuple(name for name in map(in_row, get_args(Monitor)) if name not in NUMBERS)
"""What a run's best epoch may have been chosen by; a column each, where any run was."""
NORMS = "layer_grad_norms"
CURVES = ("variant", "seed", "hash", "epoch", "split", *NUMBERS, NORMS)
"""Columns of curves.parquet that a result is made of; its fold is for who reads the table."""


def cells_table(outcomes: Sequence[Outcome]) -> pa.Table:
    """One row per run and metric; of a run without metrics one row whose metric is null."""
    import pyarrow as pa

    rows = [(outcome, metric) for outcome in outcomes for metric in outcome.result.metrics or [None]]
    columns: dict[str, Any] = {
        "variant": pa.array([outcome.variant for outcome, _ in rows], pa.string()),
        "seed": pa.array([outcome.seed for outcome, _ in rows], pa.int64()),
        "fold": pa.array([outcome.fold for outcome, _ in rows], pa.int64()),
        "accepted": pa.array([outcome.accepted for outcome, _ in rows], pa.bool_()),
    }
    columns |= {name: pa.array([getattr(outcome.result, name) for outcome, _ in rows], kind) for name, kind in ABOUT.items()}
    columns["metric"] = pa.array([metric for _, metric in rows], pa.string())
    values = [outcome.result.metrics[metric] if metric else None for outcome, metric in rows]
    return pa.table({**columns, "value": pa.array(values, pa.float64())})


def curves_table(outcomes: Sequence[Outcome]) -> pa.Table:
    """One row per run, epoch and split. A null is a key that the row does not have, NaN one whose value was not finite."""
    import pyarrow as pa

    rows = [(outcome, row) for outcome in outcomes for row in outcome.result.rows]
    for _, row in rows:
        assert row.keys() <= {"epoch", "split", *NUMBERS, *MONITORED, NORMS}, sorted(row)
    monitored = [name for name in MONITORED if any(name in row for _, row in rows)]
    columns: dict[str, Any] = {
        "variant": pa.array([outcome.variant for outcome, _ in rows], pa.string()),
        "seed": pa.array([outcome.seed for outcome, _ in rows], pa.int64()),
        "fold": pa.array([outcome.fold for outcome, _ in rows], pa.int64()),
        "hash": pa.array([outcome.result.hash for outcome, _ in rows], pa.string()),
        "epoch": pa.array([row["epoch"] for _, row in rows], pa.int64()),
        "split": pa.array([row["split"] for _, row in rows], pa.string()),
    }
    columns |= {name: pa.array([_stored(row, name) for _, row in rows], pa.float64()) for name in (*NUMBERS, *monitored)}
    norms = [{key: _stored(row[NORMS], key) for key in row[NORMS]} if NORMS in row else None for _, row in rows]
    columns[NORMS] = pa.array([None if norm is None else list(norm.items()) for norm in norms], pa.map_("string", "float64"))
    return pa.table(columns)


def results_of(cells_path: Path, curves_path: Path) -> dict[str, Result]:
    """Every result by its hash, as it was before it became rows of the two tables."""
    results: dict[str, Result] = {}
    owner: dict[str, tuple[str, int]] = {}
    for row in read_parquet(cells_path, [*ABOUT, "variant", "seed", "metric", "value"]).to_pylist():
        if owner.setdefault(row["hash"], (row["variant"], row["seed"])) != (row["variant"], row["seed"]):
            continue
        fresh = Result(**{name: row[name] for name in ABOUT}, metrics={}, rows=[])
        result = results.setdefault(row["hash"], fresh)
        if row["metric"] is not None:
            whole = row["metric"] in WHOLE and row["value"] is not None
            result.metrics[row["metric"]] = int(row["value"]) if whole else row["value"]
    for row in read_parquet(curves_path, CURVES, MONITORED).to_pylist():
        if owner.get(row["hash"]) == (row["variant"], row["seed"]):
            results[row["hash"]].rows.append(_restored(row))
    return results


def _restored(row: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: row[name] for name in ("epoch", "split")}
    values |= {name: _none_if_nan(row[name]) for name in (*NUMBERS, *MONITORED) if row.get(name) is not None}
    norms = row[NORMS]
    return values if norms is None else {**values, NORMS: {name: _none_if_nan(value) for name, value in norms}}


def _stored(values: Mapping[str, Any], name: str) -> float | None:
    if name not in values:
        return None
    return float("nan") if values[name] is None else values[name]


def _none_if_nan(value: float) -> float | None:
    return None if value != value else value
