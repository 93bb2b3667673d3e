"""Records of trainings that never were: what the rules are tried on."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import yaml

from pipeline.config import merged
from pipeline.data.dataset import FORMAT, Manifest
from pipeline.report.run.records import ClassCounts, Evaluation, Records, Run, curves_of, project_of
from pipeline.report.run.verdict import verdict

PARAMS = yaml.safe_load((Path(__file__).resolve().parents[2] / "params.yaml").read_text())
GUESS = float(np.log(10))


def manifest(**changes) -> Manifest:
    counts = {"train": [100] * 10, "val": [20] * 10, "test": [40] * 10}
    values = {"format": FORMAT, "kind": "image", "task": "single", "classes": [str(i) for i in range(10)], "shape": [1, 8, 8],
              "dtype": "uint8", "fit": {"mean": [0.3], "std": [0.3]}, "counts": {s: sum(c) for s, c in counts.items()},
              "class_counts": counts, "source": "digits", "source_digest": "a", "digest": "b", "num_read": 1600,
              "num_rejected": 0, "notes": []}  # fmt: skip
    return Manifest(**{**values, **changes})


def curves(val, clean=None, layers=None):
    clean = clean if clean is not None else [0.9 * x for x in val]
    rows = []
    for epoch, (x, y) in enumerate(zip(val, clean, strict=True), start=1):
        norms = layers or {"dense1": 1.0, "output": 1.0}
        rows.append({"epoch": epoch, "split": "train", "loss": y, "accuracy": 0.9, "learning_rate": 0.01,
                     "layer_grad_norms": norms})  # fmt: skip
        rows.append({"epoch": epoch, "split": "train_clean", "loss": y, "accuracy": 0.95})
        rows.append({"epoch": epoch, "split": "val", "loss": x, "accuracy": 0.93})
    return curves_of(rows)


def project(settings: Mapping = {}):
    """The project's own, with some keys set."""
    params = PARAMS
    for key, value in settings.items():
        section, _, name = key.partition(".")
        params = merged(params, {section: {name: value}})
    return project_of(params)


def spread(task: Manifest, accuracy: float) -> ClassCounts:
    """Each class as often right as the others; what is wrong goes to all classes as often as they occur, so that a network
    of the accuracy of guessing tells nothing apart."""
    sizes = np.array(task.class_counts["test"])
    chance = sizes / sizes.sum()
    knows = max(0.0, (accuracy - (chance**2).sum()) / (1 - (chance**2).sum()))
    right = np.round(sizes * (knows + (1 - knows) * chance)).astype(int)
    return ClassCounts(sizes, sizes, right)


def majority(task: Manifest) -> ClassCounts:
    """Always the class of most training samples."""
    sizes, most = np.array(task.class_counts["test"]), int(np.argmax(task.class_counts["train"]))
    said, right = np.zeros_like(sizes), np.zeros_like(sizes)
    said[most], right[most] = sizes.sum(), sizes[most]
    return ClassCounts(sizes, said, right)


def records(
    val, clean=None, layers=None, test=None, task=None, counts=None, settings: Mapping = {}, effects=(), **run
) -> Records:
    found, task = curves(val, clean, layers), task or manifest()
    values = {"id": "r", "state": "finished", "stop_reason": "epochs", "hashes": {}, "seed": 0, "commit": None, "versions": {},
              "device": "cpu", "num_threads": 1, "monitor": "val_loss", "best_epoch": int(np.argmin(val)) + 1,
              "best_val_loss": float(min(val)), "best_val_measure": 0.93, "num_epochs": len(val), "num_parameters": 10,
              "samples_per_s": 1.0, "wall_s": 1.0, "restarts": 0, "started": "", "finished": ""}  # fmt: skip
    measured = {"loss": 0.2, "accuracy": 0.93, "macro_f1": 0.93, "calibration_error": 0.01, "mean_confidence": 0.93,
                "num_samples": 400, "test_reads": 1}  # fmt: skip
    judged = Evaluation(**{**measured, "num_samples": task.counts["test"], **(test or {})})
    counts = counts or spread(task, judged.accuracy)
    shares = {f"prepare.{s}_fraction": round(task.counts[s] / sum(task.counts.values()), 3) for s in ("val", "test")}
    own = project({**shares, **settings})
    return Records(task, Run(**{**values, **run}), found, judged, counts, own, list(effects))


FLAT = [1.0, 0.5, 0.3, 0.25, 0.24, 0.24, 0.24, 0.24, 0.24, 0.24]


def finding(given: Records, topic: str):
    return next(f for f in verdict(given).findings if f.topic == topic)


def sized(val: int, test: int) -> Manifest:
    """Two classes of which one has 54 % of each split."""
    split = {"train": [540, 460], "val": [round(0.54 * val), val - round(0.54 * val)],
             "test": [round(0.54 * test), test - round(0.54 * test)]}  # fmt: skip
    return manifest(classes=["a", "b"], class_counts=split, counts={name: sum(c) for name, c in split.items()})
