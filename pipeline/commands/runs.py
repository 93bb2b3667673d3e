"""`regatta runs`: what was trained here, with results."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.artifacts import read_json, runs_root, stage_dir
from pipeline.config import Values, composed, flat, read_values
from pipeline.errors import StorageError
from pipeline.overrides import Overrides, candidate

ASIDE = ("study", "report", "cluster", "tracking")
"""Sections that decide nothing of a run."""
COLUMNS = ("run", "state", "started", "epochs", "val loss", "val acc", "test acc", "minutes", "differs from the defaults in")
KEPT = "kept"
"""Below a run's folder: what `regatta run` has kept of `dvc.lock` and of what Git keeps."""


@dataclass(frozen=True)
class Run:
    """A run's folder and its `run.json`."""

    folder: Path
    record: dict[str, Any]

    @property
    def id(self) -> str:
        """Its name."""
        return self.folder.name


def runs(options: argparse.Namespace) -> int:
    """Print a table, oldest run first; * marks the one whose weights are in artifacts/."""
    found = all_runs()
    if not found:
        print(f"Nothing was trained here yet ({runs_root()}/ has no runs); say `regatta run`")
        return 0
    with candidate(Overrides()) as conf:
        defaults = composed(conf)
    current = current_id()
    for line in table([COLUMNS, *(_row(run, run.id == current, defaults) for run in found)]):
        print(line)
    return 0


def all_runs() -> list[Run]:
    """Every folder that holds a readable `run.json`, oldest first."""
    found = []
    for path in sorted(runs_root().glob("*/run.json")):
        try:
            found.append(Run(path.parent, read_json(path)))
        except StorageError as error:
            print(error)
    return found


def current_id() -> str | None:
    """The run whose weights are published."""
    path = stage_dir("train") / "run.json"
    return str(read_json(path)["id"]) if path.exists() else None


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with columns of one width each."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(run: Run, current: bool, defaults: Values) -> list[str]:
    record = run.record
    return [
        f"{'*' if current else ' '} {run.id}",
        record.get("state", "?"),
        str(record.get("started", "?"))[:16].replace("T", " "),
        f"{record.get('best_epoch') or '-'}/{record.get('num_epochs') or '-'}",
        _number(record.get("best_val_loss")),
        _number(record.get("best_val_accuracy")),
        _number(_test_accuracy(run, current)),
        f"{record['wall_s'] / 60:.1f}" if record.get("wall_s") is not None else "-",
        _changed_keys(run, defaults),
    ]


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "-"


def _test_accuracy(run: Run, current: bool) -> Any:
    """Of the evaluation that was kept beside the run; null where it was never evaluated."""
    name = stage_dir("evaluate") / "metrics.json"
    kept = run.folder / KEPT / name
    path = kept if kept.exists() else name if current else None
    return json.loads(path.read_text(encoding="utf-8")).get("accuracy") if path and path.exists() else None


def _changed_keys(run: Run, defaults: Values) -> str:
    """What the run's parameters have that the defaults of conf/ have not."""
    values = read_values(run.folder / "params.yaml")
    if values is None:
        return "?"
    before = dict(flat(defaults))
    own = {name: section for name, section in values.items() if name not in ASIDE}
    changed = [f"{key}={'null' if value is None else value}" for key, value in flat(own) if before.get(key, flat) != value]
    return " ".join(changed[:4] + ([f"and {len(changed) - 4} more"] if len(changed) > 4 else [])) or "-"
