"""Small real data of each kind, configurations, and what a dataset says."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import artifacts
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.kinds.image.keys import ImageData
from pipeline.kinds.table.keys import TableData
from pipeline.prepare.build import build_dataset
from pipeline.schema.base import validated
from pipeline.schema.prepare import PrepareConfig

DATA = dict.fromkeys(ImageData.model_fields) | {
    "resize": "pad",
    "enlarge": True,
    "kind": "image",
    "max_pixels": 10**6,
    "channels": "auto",
    "image": "image",
    "label": "label",
    "target": "auto",
}
PREPARE = {
    "val_fraction": 0.1,
    "test_fraction": 0.1,
    "split_seed": 0,
    "max_bad_fraction": 0.0,
    "alike": "tell",
    "limit": None,
    "fold": None,
}


def data_config(source: str, **changes: Any) -> ImageData:
    return validated(ImageData, DATA | {"source": source} | changes, "data")


TABLE = dict.fromkeys(TableData.model_fields) | {
    "kind": "table", "source": "table", "label": "label", "target": "auto", "number": [], "category": [], "date": [],
    "ignore": [], "missing": [], "rare": 5, "bins": 48,
}  # fmt: skip


def table_config(path: Path, **changes: Any) -> TableData:
    return validated(TableData, TABLE | {"path": str(path)} | changes, "data")


def prepare_config(**changes: Any) -> PrepareConfig:
    return validated(PrepareConfig, PREPARE | changes, "prepare")


@pytest.fixture
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Dataset]:
    """Build a dataset from keys of `data`, and of `prepare` in a dict; by default in this process alone."""

    def call(source: str, prepare: dict[str, Any] | None = None, workers: int = 1, **data: Any) -> Dataset:
        folder = tmp_path_factory.mktemp("dataset")
        build_dataset(data_config(source, **data), prepare_config(**prepare or {}), folder, "code", workers)
        return open_dataset(folder)

    return call


def picture(number: int, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Image.Image:
    """A picture like no other number's."""
    values = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def class_folders(root: Path, num: int = 30, classes: tuple[str, ...] = ("cat", "dog"), start: int = 0) -> Path:
    """A folder per class with `num` PNG files each."""
    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(start, start + num):
            (root / name / f"{i}.png").write_bytes(encoded(picture(1000 * c + i)))
    return root


def rejected(dataset: Dataset) -> dict[str, str]:
    """The reasons of rejected.csv by source, with the row where there is one."""
    rows = artifacts.read_csv(dataset.path / "rejected.csv")
    return {f"{row['source']}:{row['row']}" if row["row"] else row["source"]: row["reason"] for row in rows}


def placed(dataset: Dataset) -> dict[str, str]:
    """The split of each sample by its name."""
    return {name: split for split in ("train", "val", "test") for name in dataset.sources(split)}


def file_bytes(dataset: Dataset) -> dict[str, bytes]:
    return {str(file.relative_to(dataset.path)): file.read_bytes() for file in dataset.path.rglob("*") if file.is_file()}


def write_table(path: Path, rows: list[list[str]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path
