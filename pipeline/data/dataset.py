"""The prepared dataset: memory-mapped arrays per split and a manifest. What `prepare` writes and all other stages read."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.artifacts import read_json, read_parquet
from pipeline.data.intact import check_intact
from pipeline.errors import DataError, StorageError
from pipeline.kinds.keys import keys_of
from pipeline.wording import from_to

SPLITS = ("train", "val", "test")
SplitName = Literal["train", "val", "test"]
Task = Literal["single", "multi", "number"]
"""single: one of the classes; multi: any number of them; number: one number or several, and no classes."""
FORMAT = 5
FEW = 100
"""With fewer samples in a split, an accuracy is off by ten percentage points or so."""


@dataclass(frozen=True)
class Manifest:
    """`dataset.json`."""

    format: int
    kind: str
    task: Task
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
    lengths: list[int] | None = None
    """Where rows are ragged, the fewest, the median and the most items of a row; None: all rows are of the one shape."""
    windows: list[int] | None = None
    """Where a sample owns any number of rows, the fewest, the median and the most of them; None: each owns one."""
    targets: list[str] = field(default_factory=list)
    """Of numbers: what each is called."""
    target_fit: dict[str, list[float]] = field(default_factory=dict)
    """Of numbers: `mean` and `std` of each in the training split alone."""
    telling: dict[str, str] = field(default_factory=dict)
    """Features that alone say nearly all of the answer, where there are such: what is `said` of them, and the key and value
    that do `without` them."""
    data: dict[str, Any] = field(default_factory=dict)
    """The section `data` without its paths: how samples are read, also those that come to be predicted."""
    details: dict[str, Any] = field(default_factory=dict)
    """What else decoding needs of the whole dataset, as far as `fit` does not hold the same."""
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of every other file of the dataset, by its path there."""
    features_of: str | None = None
    """Of features: the digest of the dataset that they were made of."""

    @property
    def prepared(self) -> str:
        """The digest of what `prepare` has written."""
        return self.features_of or self.digest

    def num_train(self, limit: int | None, per_class: int | None = None) -> int:
        """The training samples that are taken where at most `limit` are, or so many of each class; None: all."""
        if per_class is not None:
            return sum(min(num, per_class) for num in self.class_counts["train"])
        every = self.counts["train"]
        return every if limit is None else min(every, limit)

    @property
    def row_bytes(self) -> int:
        """Of one row or, where rows are ragged, of one item."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Stored:
    """Rows as they are stored, mostly memory-mapped."""

    values: NDArray[Any]
    """(R, *shape) or, where rows are ragged, the items of all."""
    offsets: NDArray[np.int64] | None = None
    """(R + 1,) where each row's items begin in `values`; None: rows are of one shape."""

    def __len__(self) -> int:
        return len(self.values) if self.offsets is None else len(self.offsets) - 1

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + (0 if self.offsets is None else self.offsets.nbytes)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(R,) the items of each row; 1 where rows are of one shape."""
        return np.ones(len(self), np.int64) if self.offsets is None else np.diff(self.offsets)

    def each(self) -> list[NDArray[Any]]:
        """Every row by itself (*shape), or its items (n, *shape)."""
        return list(self.values) if self.offsets is None else np.split(self.values, self.offsets[1:-1])[: len(self)]

    def taken(self, rows: NDArray[np.int64]) -> Stored:
        """Some rows, in memory."""
        if self.offsets is None:
            return Stored(np.array(self.values[rows]))
        lengths = self.lengths[rows]
        return Stored(np.array(self.values[spans(self.offsets[rows], lengths)]), np.r_[0, np.cumsum(lengths)])


def spans(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places (n,) of all that begins at `starts` (R,) and goes on for `lengths`, one after the other."""
    shifts = starts - (np.cumsum(lengths) - lengths)
    return np.repeat(shifts, lengths) + np.arange(int(lengths.sum()))


@dataclass(frozen=True)
class Split:
    """One split; arrays are memory-mapped and read-only."""

    inputs: NDArray[Any]
    """(N, *shape), as stored: a row for each sample (uint8 images); where rows are ragged, all items."""
    labels: NDArray[Any]
    """(N,) int64 class numbers, or (N, classes) uint8 where there may be several; of numbers (N,) or (N, targets) float64."""
    ids: NDArray[np.uint64]
    """(N,) sample ids."""
    rows: NDArray[np.int64] | None = None
    """(N + 1,) where each sample's rows begin; None: each owns one."""
    offsets: NDArray[np.int64] | None = None
    """(rows + 1,) where each row's items begin in `inputs`; None: rows are of one shape."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def stored(self) -> Stored:
        """The rows of all samples, in their order."""
        return Stored(self.inputs, self.offsets)

    @property
    def first_rows(self) -> NDArray[np.int64]:
        """(N,) the first of each sample's rows."""
        return np.arange(len(self)) if self.rows is None else np.asarray(self.rows[:-1])

    @property
    def num_rows(self) -> NDArray[np.int64]:
        """(N,) how many rows each sample owns."""
        return np.ones(len(self), np.int64) if self.rows is None else np.diff(self.rows)

    def rows_of(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """All rows of some samples, one sample after the other."""
        return samples if self.rows is None else spans(self.first_rows[samples], self.num_rows[samples])

    def row_ids(self, samples: NDArray[np.int64], rows: NDArray[np.int64]) -> keyed.U64:
        """The number by which a row, the one or one of several of a sample, has its own random views."""
        ids = np.asarray(self.ids)[samples]
        return ids if self.rows is None else keyed.row_ids(ids, rows - self.first_rows[samples])

    def taken(self, samples: NDArray[np.int64]) -> Split:
        """Some samples with all of their rows, in memory."""
        stored = self.stored.taken(self.rows_of(samples))
        rows = None if self.rows is None else np.r_[0, np.cumsum(self.num_rows[samples])]
        return Split(stored.values, np.array(self.labels[samples]), np.array(self.ids[samples]), rows, stored.offsets)

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
        parts += ["offsets"] if self.manifest.lengths else []
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


def form_words(manifest: Manifest) -> str:
    """How a sample is stored: "1 x 8 x 8 uint8", "1 to 3 rows of 3 to 10 items of float32", "texts of 2 to 9 bytes"."""
    row = keys_of(manifest.kind).DATA.form(manifest.shape, manifest.lengths)
    if row is None:
        row = " x ".join(map(str, manifest.shape)) + " " * bool(manifest.shape) + manifest.dtype
        row = f"{from_to(manifest.lengths)} items of {row}" if manifest.lengths else row
    return f"{from_to(manifest.windows)} rows of {row}" if manifest.windows else row


def manifest_dict(manifest: Manifest) -> dict[str, Any]:
    """The manifest as JSON-like data."""
    return asdict(manifest)


def label_name(label: Any, manifest: Manifest) -> str:
    """A sample's label as it is stored: its class, its classes, or its numbers."""
    if manifest.task == "number":
        return ", ".join(f"{value:.10g}" for value in np.atleast_1d(label))
    if manifest.task == "single":
        return manifest.classes[int(label)]
    return ", ".join(name for name, on in zip(manifest.classes, label, strict=True) if on) or "(none)"


def mapped(path: Path, stage: str = "prepare") -> NDArray[Any]:
    """An array that a stage has written, memory-mapped; StorageError where it is not whole."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except (OSError, ValueError, EOFError) as error:
        raise StorageError(
            f"{path}: not a whole array ({error}); say `rm -r {path.parent}`, then the same command: {stage} makes it anew"
        ) from None
