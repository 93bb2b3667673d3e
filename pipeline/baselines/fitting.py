"""A dataset's baselines, fitted: the better one on validation, and its answers on the test split, kept by data and code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pipeline import keyed
from pipeline.artifacts import digest, make_dir, read_parquet, runs_root, write_parquet
from pipeline.baselines import methods
from pipeline.baselines.comparison import Floats, scored, units_of
from pipeline.closure import code_digest
from pipeline.data.dataset import Dataset, Split
from pipeline.kinds.baselines import Seen, baselines_of
from pipeline.kinds.extended import code_for

CODE = "pipeline/baselines/fitting.py"
"""What the digest of kept answers covers: this file's imports."""
VAL_ROWS, PORTION, FIRST_ROWS = 5_000, 4096, 64


@dataclass(frozen=True)
class Candidate:
    """A baseline, fitted."""

    name: str
    words: str
    val: float | None
    """Its mean score on validation samples, more being better; None where there are none."""
    num_rows: int
    """Training samples that it was fitted on."""
    whole: bool
    """Whether those are all."""


@dataclass(frozen=True)
class Fitted:
    """The better baseline's answers."""

    chosen: Candidate
    candidates: list[Candidate]
    answers: NDArray[Any]
    """Of the test samples, as their labels are."""


def fitted_baselines(dataset: Dataset) -> Fitted | None:
    """The better of a kind's baselines, computed where it is not kept; None where the kind, or its rows, have none.

    By one thread, so that the answers are the same on any number of cores.
    """
    manifest = dataset.manifest
    parts = baselines_of(manifest.kind)
    if parts is None:
        return None
    fitting = [one for one in parts.baselines(manifest.fit, manifest.shape) if one.ragged == (manifest.lengths is not None)]
    seen = [one for one in fitting if one.windows or not manifest.windows]
    if not seen:
        return None
    code = code_for(manifest.kind, code_digest(CODE, manifest.kind))
    file = runs_root() / "baselines" / f"{digest([manifest.digest, code, version('scikit-learn')])}.parquet"
    if file.exists():
        return _kept(file, np.asarray(dataset.split("test").labels))
    fitted = _fitted(dataset, seen)
    make_dir(file.parent)
    _keep(file, fitted)
    return fitted


def _fitted(dataset: Dataset, seen: Sequence[Seen]) -> Fitted:
    from threadpoolctl import threadpool_limits

    train, val, test = (dataset.split(name) for name in ("train", "val", "test"))
    with threadpool_limits(limits=1):
        tried = [_tried(one, train, val, dataset.manifest.task) for one in seen]
        chosen, answer, one = max(tried, key=lambda found: 0.0 if found[0].val is None else found[0].val)  # or the first
        answers = _answered(one, answer, test)
    return Fitted(chosen, [candidate for candidate, _, _ in tried], answers)


def _tried(one: Seen, train: Split, val: Split, task: str) -> tuple[Candidate, methods.Answer, Seen]:
    """One baseline, fitted on a fixed part of the training samples and scored on validation samples."""
    labels = np.asarray(train.labels)
    width = _width(_features(one, train, np.arange(min(FIRST_ROWS, len(train)))))
    index = keyed.subset(np.asarray(train.ids), methods.num_rows(one, width, methods.num_outputs(labels, task)))
    answer = methods.fitted(_features(one, train, index), labels[index], task, one)
    score = _val_score(one, answer, val, task, units_of(labels, task)) if len(val) else None
    return Candidate(one.name, methods.method_words(one, task), score, len(index), len(index) == len(train)), answer, one


def _val_score(one: Seen, answer: methods.Answer, val: Split, task: str, units: Floats) -> float:
    """The mean over a fixed part of the validation samples."""
    part = keyed.subset(np.asarray(val.ids), VAL_ROWS)
    labels = np.asarray(val.labels)[part]
    return float(scored(labels, answer(_features(one, val, part)).reshape(labels.shape), task, units).mean())


def _width(features: Any) -> int:
    """Numbers of a sample that a product takes: all of them, or those that are not 0."""
    return int(-(-features.nnz // features.shape[0]) if sparse.issparse(features) else features.shape[1])


def _features(one: Seen, split: Split, index: NDArray[np.int64]) -> Any:
    """Features (N, F) of the samples at these places; of those that own windows the mean of the windows' own."""
    most = PORTION // max(1, int(split.num_rows.max(initial=1))) or 1
    parts = [index[i : i + most] for i in range(0, len(index), most)]
    portions = [_of_portion(one, split, part) for part in parts]
    return sparse.vstack(portions, format="csr") if sparse.issparse(portions[0]) else np.concatenate(portions)


def _of_portion(one: Seen, split: Split, part: NDArray[np.int64]) -> Any:
    """Rows as the kind has stored them, (n, *shape) or a list of ragged ones, seen by one baseline."""
    stored = split.stored.taken(split.rows_of(part))
    rows = stored.values if stored.offsets is None else np.split(stored.values, stored.offsets[1:-1])
    features = one.features(rows)
    if split.rows is None:
        return features
    counts = split.num_rows[part]
    return np.add.reduceat(features, np.cumsum(counts) - counts) / counts[:, None].astype(np.float32)


def _answered(one: Seen, answer: methods.Answer, split: Split) -> NDArray[Any]:
    """Answers of a whole split, a portion at a time."""
    every = np.arange(len(split))
    return np.concatenate([answer(_features(one, split, every[i : i + PORTION])) for i in range(0, len(every), PORTION)])


def _keep(file: Path, fitted: Fitted) -> None:
    import pyarrow as pa

    columns = {f"{i}": np.ascontiguousarray(column) for i, column in enumerate(methods.columns_of(fitted.answers))}
    meta = {"chosen": fitted.chosen.name, "candidates": json.dumps([asdict(one) for one in fitted.candidates])}
    write_parquet(file, pa.table(columns).replace_schema_metadata(meta))


def _kept(file: Path, labels: NDArray[Any]) -> Fitted:
    """As it was kept; labels: of the test samples."""
    names = [f"{i}" for i in range(len(methods.columns_of(labels)))]
    table = read_parquet(file, names)
    meta = table.schema.metadata
    candidates = [Candidate(**one) for one in json.loads(meta[b"candidates"])]
    chosen = next(one for one in candidates if one.name == meta[b"chosen"].decode())
    return Fitted(chosen, candidates, methods.side_by_side([table[name].to_numpy() for name in names], labels))
