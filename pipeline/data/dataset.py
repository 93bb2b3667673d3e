"""The prepared dataset: memory-mapped arrays per split and a manifest. What `prepare` writes and all other stages read."""

from __future__ import annotations

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
FORMAT = 2
FEW = 100
"""With fewer samples in a split, an accuracy is off by ten percentage points or so."""


@dataclass(frozen=True)
class Manifest:
    """`dataset.json`."""

    format: int
    kind: Literal["image"]
    task: Literal["single", "multi"]
    """single: one of the classes; multi: any number of them."""
    classes: list[str]
    shape: list[int]
    """Of one input: [channels, height, width] for images."""
    dtype: str
    mean: list[float]
    """Per channel over the training split, on the scale 0..1; likewise `std`."""
    std: list[float]
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
    value_range: list[int] | None = None
    """The values that became 0 and 255 of images that had more than 8 bits; None where all had 8."""
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of every other file of the dataset, by its path there."""


@dataclass(frozen=True)
class Split:
    """One split; arrays are memory-mapped and read-only."""

    inputs: NDArray[Any]
    """(N, *shape), as stored (uint8 images)."""
    labels: NDArray[Any]
    """(N,) int64 class numbers, or (N, classes) uint8 where there may be several."""
    ids: NDArray[np.uint64]
    """(N,) sample ids."""

    def __len__(self) -> int:
        return len(self.ids)


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
        return Split(*(mapped(folder / f"{part}.npy") for part in ("inputs", "labels", "ids")))

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
