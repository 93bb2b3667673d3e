"""What the other stages have recorded, read once: numbers here, arrays and pictures in `material`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts import read_json, read_jsonl
from pipeline.data.dataset import Manifest, open_dataset
from pipeline.errors import StorageError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """One value per epoch (E,), NaN where none was recorded."""

    epochs: NDArray[np.int64]
    running_loss: Floats
    """While training: dropout and augmentation on, the weights changing."""
    clean_loss: Floats
    """On a fixed part of the training split, dropout and augmentation off."""
    val_loss: Floats
    running_accuracy: Floats
    clean_accuracy: Floats
    val_accuracy: Floats
    learning_rate: Floats
    seconds: Floats
    samples_per_s: Floats
    layers: list[str]
    """Input side first."""
    layer_norms: Floats
    """(E, layers): norm of each layer's gradient, mean over the epoch's steps."""

    def at(self, epoch: int) -> int:
        """The row of an epoch."""
        return int(np.searchsorted(self.epochs, epoch))


@dataclass(frozen=True)
class Run:
    """`run.json`, as far as the report shows it."""

    id: str
    state: str
    stop_reason: str
    hashes: dict[str, str]
    seed: int
    commit: str | None
    versions: dict[str, str]
    device: str
    num_threads: int
    monitor: str
    best_epoch: int
    best_val_loss: float
    best_val_accuracy: float
    num_epochs: int
    num_parameters: int
    samples_per_s: float
    wall_s: float
    restarts: int
    started: str
    finished: str
    num_workers: int = 1
    interruptions: list[dict[str, Any]] = field(default_factory=list)
    """Each loss of workers or of who leads them: time, reason, epoch and step of the state that it went on from."""


@dataclass(frozen=True)
class Evaluation:
    """`metrics.json` of evaluate."""

    loss: float
    accuracy: float
    macro_f1: float
    calibration_error: float
    mean_confidence: float
    num_samples: int
    test_reads: int
    exact_match: float | None = None
    """Share of samples whose labels are all right; None where there is one label."""


@dataclass(frozen=True)
class Records:
    """The numbers that the verdict is a function of."""

    manifest: Manifest
    run: Run
    curves: Curves
    test: Evaluation


def read_records(artifacts: Path) -> Records:
    """Read the numbers below a folder of artifacts; StorageError names what is missing."""
    manifest = open_dataset(artifacts / "prepare").manifest
    run = _taken(Run, artifacts / "train" / "run.json")
    rows = read_jsonl(artifacts / "train" / "metrics.jsonl")
    if not any(row["split"] == "val" for row in rows):
        raise StorageError(f"{artifacts}/train/metrics.jsonl: no epoch on the validation split; run `dvc repro train`")
    return Records(manifest, run, curves_of(rows), _taken(Evaluation, artifacts / "evaluate" / "metrics.json"))


def curves_of(rows: list[dict[str, Any]]) -> Curves:
    """The curves of the lines of `metrics.jsonl`; of an epoch that was recorded twice (a resumed run) the later line."""
    by_key = {(row["epoch"], row["split"]): row for row in rows}
    epochs = sorted({epoch for epoch, _ in by_key})
    layers = list(next((row["layer_grad_norms"] for row in rows if "layer_grad_norms" in row), {}))

    def column(split: str, key: str) -> Floats:
        values = [by_key.get((epoch, split), {}).get(key) for epoch in epochs]
        return np.array([np.nan if v is None else v for v in values], dtype=np.float64)

    norms = [by_key.get((epoch, "train"), {}).get("layer_grad_norms", {}) for epoch in epochs]
    return Curves(
        epochs=np.array(epochs, dtype=np.int64),
        running_loss=column("train", "loss"),
        clean_loss=column("train_clean", "loss"),
        val_loss=column("val", "loss"),
        running_accuracy=column("train", "accuracy"),
        clean_accuracy=column("train_clean", "accuracy"),
        val_accuracy=column("val", "accuracy"),
        learning_rate=column("train", "learning_rate"),
        seconds=column("train", "seconds"),
        samples_per_s=column("train", "samples_per_s"),
        layers=layers,
        layer_norms=np.array([[norm.get(layer, np.nan) for layer in layers] for norm in norms]).reshape(
            len(epochs), len(layers)
        ),
    )


def _taken(kind: Any, path: Path) -> Any:
    """The fields of a dataclass from a JSON file that may hold more."""
    values = read_json(path)
    names = [field.name for field in fields(kind)]
    needed = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    missing = [name for name in needed if name not in values]
    if missing:
        raise StorageError(f"{path}: lacks {', '.join(missing)}; run the stage that writes it (`dvc repro`)")
    return kind(**{name: values[name] for name in names if name in values})
