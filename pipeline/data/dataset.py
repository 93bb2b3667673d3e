"""The prepared dataset: memory-mapped arrays per split and a manifest. What `prepare` writes and all other stages read."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts import read_json, read_parquet
from pipeline.data.intact import check_intact
from pipeline.errors import DataError, StorageError

SPLITS = ("train", "val", "test")
SplitName = Literal["train", "val", "test"]
FORMAT = 3
FEW = 100
"""With fewer samples in a split, an accuracy is off by ten percentage points or so."""


@dataclass(frozen=True)
class Manifest:
    """`dataset.json`."""

    format: int
    kind: str
    task: Literal["single", "multi"]
    """single: one of the classes; multi: any number of them."""
    classes: list[str]
    shape: list[int]
    """Of one row: [channels, height, width] for images; where rows are ragged, of one of their items."""
    dtype: str
    fit: dict[str, Any]
    """What the kind learned from the training split alone: of images the mean and deviation of each channel."""
    counts: dict[str, int]
    """Samples per split."""
    class_counts: dict[str, list[int]]
    """Samples per split and class."""
    source: str
    source_digest: str
    digest: str
    """Identity of the dataset: keys, contents of the source, code of `prepare`."""
    num_read: int
    num_rejected: int
    """Lines of rejected.csv that were not taken (unreadable, or training copies of test samples)."""
    notes: list[str]
    """What a reader should know: conflicting labels, repeated contents, small classes."""
    ragged: bool = False
    """Whether a row is any number of items: row r has the items offsets[r] to offsets[r + 1] of the inputs."""
    windows: bool = False
    """Whether a sample owns any number of rows: sample i has the rows rows[i] to rows[i + 1]."""
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of every other file of the dataset, by its path there."""

    @property
    def row_bytes(self) -> int:
        """Of one row or, where rows are ragged, of one item."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Split:
    """One split; arrays are memory-mapped and read-only."""

    inputs: NDArray[Any]
    """(N, *shape), as stored: a row for each sample (uint8 images); where rows are ragged, all items."""
    labels: NDArray[Any]
    """(N,) int64 class numbers, or (N, classes) uint8 where there may be several."""
    ids: NDArray[np.uint64]
    """(N,) sample ids."""
    rows: NDArray[np.int64] | None = None
    """(N + 1,) where each sample's rows begin; None: each owns one."""
    offsets: NDArray[np.int64] | None = None
    """(rows + 1,) where each row's items begin in `inputs`; None: rows are of one shape."""

    def __len__(self) -> int:
        return len(self.ids)

    def sample(self, i: int) -> NDArray[Any]:
        """All that sample i owns: its one row (*shape), or the items of all of its rows (n, *shape)."""
        if self.rows is None and self.offsets is None:
            return np.array(self.inputs[i])
        first, last = (self.rows[i], self.rows[i + 1]) if self.rows is not None else (i, i + 1)
        if self.offsets is not None:
            first, last = self.offsets[first], self.offsets[last]
        return np.array(self.inputs[first:last])


class Data(Protocol):
    """What training needs of a dataset."""

    @property
    def manifest(self) -> Manifest:
        """What it holds."""

    def split(self, name: str) -> Split:
        """One split."""


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset on disk."""

    path: Path
    manifest: Manifest

    def split(self, name: str) -> Split:
        """Open a split. The test split is for `evaluate` alone."""
        folder = self.path / name
        parts = ["inputs", "labels", "ids", *(["rows"] if self.manifest.windows else [])]
        parts += ["offsets"] if self.manifest.ragged else []
        return Split(**{part: mapped(folder / f"{part}.npy") for part in parts})

    def sources(self, name: str) -> list[str]:
        """Where each sample of a split came from: a file name or a row, for people to read."""
        column: list[str] = read_parquet(self.path / name / "samples.parquet", ["source"])["source"].to_pylist()
        return column


def open_dataset(path: Path) -> Dataset:
    """Open what `prepare` has written. StorageError where it is no longer that."""
    values = read_json(path / "dataset.json")
    if values.get("format") != FORMAT:
        raise DataError(f"{path}/dataset.json: format {values.get('format')} is not {FORMAT}; run `dvc repro prepare` again")
    manifest = Manifest(**values)
    check_intact(path, manifest.files, "prepare")
    return Dataset(path, manifest)


def manifest_dict(manifest: Manifest) -> dict[str, Any]:
    """The manifest as JSON-like data."""
    return asdict(manifest)


def mapped(path: Path, stage: str = "prepare") -> NDArray[Any]:
    """An array that a stage has written, memory-mapped; StorageError where it is not whole."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except (OSError, ValueError, EOFError) as error:
        raise StorageError(
            f"{path}: not a whole array ({error}); say `rm -r {path.parent}`, then the same command: {stage} makes it anew"
        ) from None
