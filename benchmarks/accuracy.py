"""Test accuracy of the configurations that come along, over seeds (and, for the digits, over splits).

Rows: accuracy_digits, the default configuration on 5 splits x 3 seeds, beside scikit-learn's MLPClassifier with the same
hidden layers; accuracy_fashion, `preset=fashion` on Fashion-MNIST's own test split with 3 seeds, one after the other, with the
seconds of training. The test split decides nothing here: the best epoch is that of the validation loss.

    python -m benchmarks.accuracy digits
    python -m benchmarks.accuracy fashion FOLDER     # of Fashion-MNIST's IDX files
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier

from benchmarks.harness import write_row
from pipeline.config import composed
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.data.views import Views, open_views, write_view_folder
from pipeline.kinds.image.keys import ImageData, ImagePolicy
from pipeline.prepare.build import build_dataset
from pipeline.schema.base import validated
from pipeline.schema.model import ModelConfig
from pipeline.schema.prepare import PrepareConfig
from pipeline.schema.train import TrainConfig
from pipeline.train.keeper import Keeper
from pipeline.train.module import run_to_end
from pipeline.train.program import program_of, threads_for
from pipeline.train.training import Training

SEEDS, SPLITS = 3, 5


def prepared(values: dict[str, Any], folder: Path) -> tuple[Dataset, Views]:
    """The dataset and its augmented copies."""
    data, prepare = validated(ImageData, values["data"], "data"), validated(PrepareConfig, values["prepare"], "prepare")
    build_dataset(data, prepare, folder, "benchmark")
    dataset = open_dataset(folder)
    write_view_folder(dataset, validated(ImagePolicy, values["augment"], "augment").scaled(), folder, torch.device("cpu"))
    return dataset, open_views(folder)


def trained(values: dict[str, Any], dataset: Dataset, views: Views, seeds: list[int]) -> Training:
    """Runs of the configuration with these seeds, side by side."""
    model = validated(ModelConfig, values["model"], "model")
    configs = [validated(TrainConfig, {**values["train"], "seed": seed}, "train") for seed in seeds]
    plans = [program_of(model, train, dataset.manifest) for train in configs]
    torch.set_num_threads(threads_for(plans[0][0]))
    training = Training(plans[0][0], [lane for _, lane in plans], dataset, [views] * len(plans), torch.device("cpu"))
    run_to_end(training, Keeper())
    return training


def test_accuracy(training: Training, dataset: Dataset) -> list[float]:
    """Of every run's best weights."""
    return [row["accuracy"] for row in training.judged(dataset.split("test"))]


def sklearn_accuracy(dataset: Dataset, widths: list[int], seeds: list[int]) -> list[float]:
    """scikit-learn's own network on the same splits, without augmentation."""
    (x, y), (tx, ty) = (
        (np.array(split.inputs).reshape(len(split), -1) / 255, np.array(split.labels))
        for split in (dataset.split("train"), dataset.split("test"))
    )
    networks = (MLPClassifier(tuple(widths), random_state=seed, max_iter=200) for seed in seeds)
    return [float(network.fit(x, y).score(tx, ty)) for network in networks]


def digits() -> None:
    """5 splits x 3 seeds."""
    values = composed()
    own: list[float] = []
    peer: list[float] = []
    for split in range(SPLITS):
        values["prepare"]["split_seed"] = split
        with tempfile.TemporaryDirectory() as folder:
            dataset, views = prepared(values, Path(folder))
            own += test_accuracy(trained(values, dataset, views, list(range(SEEDS))), dataset)
            peer += sklearn_accuracy(dataset, values["model"]["widths"], list(range(SEEDS)))
    ratios = [a / b for a, b in zip(own, peer, strict=True)]
    ratio = {"ratio": statistics.median(ratios), "min": min(ratios), "max": max(ratios), "rounds": len(ratios)}
    write_row("accuracy_digits", _accuracy(own) | {"splits": SPLITS, "seeds": SEEDS}, {"scikit-learn MLPClassifier": ratio})


def fashion(folder: Path) -> None:
    """3 seeds, one after the other."""
    values = composed(overrides=["preset=fashion"])
    values["data"] |= {"path": str(folder)}
    own, seconds = [], []
    with tempfile.TemporaryDirectory() as scratch:
        dataset, views = prepared(values, Path(scratch))
        for seed in range(SEEDS):
            training = trained(values, dataset, views, [seed])
            seconds.append(sum(row["seconds"] for row in training.rows[0] if row["split"] == "train"))
            own += test_accuracy(training, dataset)
            print(f"seed {seed}: test accuracy {own[-1]:.4f}, {seconds[-1]:.0f} s", flush=True)
    write_row("accuracy_fashion", _accuracy(own) | {"seeds": SEEDS, "training_s": [round(s, 1) for s in seconds]}, {})


def _accuracy(values: list[float]) -> dict[str, Any]:
    mean, spread = statistics.mean(values), statistics.stdev(values)
    return {"test_accuracy": round(mean, 4), "standard_deviation": round(spread, 4), "values": [round(v, 4) for v in values]}


if __name__ == "__main__":
    digits() if sys.argv[1] == "digits" else fashion(Path(sys.argv[2]))
