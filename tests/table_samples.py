"""Small tables and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_samples import prepare_config

from pipeline.data.dataset import Dataset, open_dataset
from pipeline.kinds.table.keys import TableData, TablePolicy
from pipeline.prepare.build import build_dataset
from pipeline.schema.base import validated

DATA = dict.fromkeys(TableData.model_fields) | {
    "kind": "table",
    "source": "table",
    "target": "auto",
    "label": "label",
    **{key: [] for key in ("number", "category", "date", "ignore", "missing")},
    "rare": 2,
    "bins": 4,
}


def table_config(**changes: Any) -> TableData:
    return validated(TableData, DATA | changes, "data")


def policy(**changes: Any) -> TablePolicy:
    return validated(TablePolicy, {"seed": 0, "views": 0, "strength": 1.0, "noise": 0.0, "redraw": 0.0} | changes, "augment")


@pytest.fixture
def build_table(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Dataset]:
    """Build a dataset from keys of `data`, and of `prepare` in a dict; by default in this process alone."""

    def call(prepare: dict[str, Any] | None = None, workers: int = 1, **data: Any) -> Dataset:
        folder = tmp_path_factory.mktemp("dataset")
        build_dataset(table_config(**data), prepare_config(**prepare or {}), folder, "code", workers)
        return open_dataset(folder)

    return call


def write_lines(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def people(num: int = 60, start: int = 0) -> list[str]:
    """Rows of name, age (some missing), city, joined (a date) and a label that the age decides."""
    cities = ("Oslo", "NA", "Rome", "007")
    rows = []
    for i in range(start, start + num):
        age = "" if i % 10 == 9 else str(20 + (7 * i) % 41 + i / 1000)
        rows.append(f"person {i},{age},{cities[i % 4]},20{i % 20:02}-{1 + i % 12:02}-{1 + i % 28:02},{'ab'[i % 2]}")
    return rows


HEADER = "name,age,city,joined,label"


def stored(dataset: Dataset) -> dict[str, np.ndarray]:
    """Each stored row by where it came from."""
    return {name: row for split in ("train", "val", "test")
            for name, row in zip(dataset.sources(split), np.array(dataset.split(split).inputs), strict=True)}  # fmt: skip
