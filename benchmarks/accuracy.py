"""Test accuracy of the configurations that come along, over seeds (and, for the digits, over splits).

Rows: accuracy_digits, the default configuration on 5 splits x 3 seeds, beside scikit-learn's MLPClassifier with the same
hidden layers; accuracy_fashion, `preset=fashion` on Fashion-MNIST's own test split with 3 seeds, one after the other, with the
seconds of training; accuracy_cifar, `preset=images` on CIFAR-10's likewise (25 quiet minutes), and accuracy_cifar_short, in 4
of its 20 epochs (5 quiet minutes);
accuracy_adult, data=table on Adult's own test split with 3 seeds, beside boosted trees on the same rows;
accuracy_penguins and, with a number to predict, accuracy_diabetes and accuracy_friedman (made for it), over 5 folds x 5 seeds,
beside linear methods and boosted trees on the same folds, with intervals that allow for the overlap of the folds;
accuracy_clothing, photos as `regatta run data.path=...` takes so few, over 5 folds x 3 seeds beside logistic regression on
pixels and on HOG.
The test split decides nothing here: the best epoch is that of the validation loss, and configurations were chosen by it.

    python -m benchmarks.accuracy digits
    python -m benchmarks.accuracy fashion FOLDER     # of Fashion-MNIST's IDX files
    python -m benchmarks.accuracy cifar FOLDER       # of cifar10_train.parquet and cifar10_test.parquet
    python -m benchmarks.accuracy cifar_short FOLDER # the same
    python -m benchmarks.accuracy clothing FOLDER    # of clothing_small_test.tar.gz, a folder per class
    python -m benchmarks.accuracy adult FOLDER       # of adult_train.csv.gz and adult_test.csv.gz, as UCI has them
    python -m benchmarks.accuracy penguins FOLDER    # of penguins.csv
    python -m benchmarks.accuracy diabetes           # scikit-learn's
    python -m benchmarks.accuracy friedman
"""

from __future__ import annotations

import statistics
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neural_network import MLPClassifier

from benchmarks.harness import write_row
from pipeline.baselines.comparison import measure_of, paired_interval, scored, units_of
from pipeline.baselines.methods import fitted
from pipeline.config import composed
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.data.views import Views, open_views, write_view_folder
from pipeline.kinds.baselines import baselines_of
from pipeline.kinds.keys import data_section, policy_section
from pipeline.kinds.table.baselines import baselines
from pipeline.prepare.build import build_dataset
from pipeline.schema.base import validated
from pipeline.schema.model import ModelConfig
from pipeline.schema.prepare import PrepareConfig
from pipeline.schema.train import TrainConfig
from pipeline.study.statistics import overlap_of, paired_difference
from pipeline.train.keeper import Keeper
from pipeline.train.module import run_to_end
from pipeline.train.program import program_of, threads_for
from pipeline.train.training import Training

SEEDS, SPLITS = 3, 5
FOLDS = FOLD_SEEDS = 5
SMALL = "preset=small-table"


def prepared(values: dict[str, Any], folder: Path) -> tuple[Dataset, Views]:
    """The dataset and its augmented copies."""
    build_dataset(data_section(values), validated(PrepareConfig, values["prepare"], "prepare"), folder, "benchmark")
    dataset = open_dataset(folder)
    write_view_folder(dataset, policy_section(values).scaled(), folder, torch.device("cpu"))
    return dataset, open_views(folder)


def trained(values: dict[str, Any], dataset: Dataset, views: Views, seeds: list[int], threads: int | None = None) -> Training:
    """Runs of the configuration with these seeds, side by side."""
    model = validated(ModelConfig, values["model"], "model")
    configs = [validated(TrainConfig, {**values["train"], "seed": seed}, "train") for seed in seeds]
    plans = [program_of(model, train, dataset.manifest) for train in configs]
    torch.set_num_threads(threads_for(plans[0][0], threads))
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
    """Fashion-MNIST's own test split."""
    values = composed(overrides=["preset=fashion"])
    values["data"] |= {"path": str(folder)}
    over_seeds("fashion", values)


def cifar(folder: Path) -> None:
    """CIFAR-10's own test split, part of the training images held out for validation."""
    over_seeds("cifar", _of_cifar(folder))


def cifar_short(folder: Path) -> None:
    """The same within three minutes of two cores."""
    over_seeds("cifar_short", _of_cifar(folder, "train.epochs=4"))


def _of_cifar(folder: Path, *overrides: str) -> dict[str, Any]:
    values = composed(overrides=["data=parquet", "preset=images", *overrides])
    values["data"] |= {f"{split}_path": str(folder / f"cifar10_{split}.parquet") for split in ("train", "test")}
    return values


def over_seeds(name: str, values: dict[str, Any]) -> None:
    """3 seeds, one after the other, with the seconds of training."""
    own, seconds = [], []
    with tempfile.TemporaryDirectory() as scratch:
        dataset, views = prepared(values, Path(scratch))
        for seed in range(SEEDS):
            training = trained(values, dataset, views, [seed])
            seconds.append(sum(row["seconds"] for row in training.rows[0] if row["split"] == "train"))
            own += test_accuracy(training, dataset)
            print(f"seed {seed}: test accuracy {own[-1]:.4f}, {seconds[-1]:.0f} s", flush=True)
    write_row(f"accuracy_{name}", _accuracy(own) | {"seeds": SEEDS, "training_s": [round(s, 1) for s in seconds]}, {})


def adult(folder: Path) -> None:
    """3 seeds side by side, and how often they and boosted trees are right on the same test rows."""
    columns = "age,workclass,fnlwgt,education,education_num,marital_status,occupation,relationship,race,sex,"
    columns += "capital_gain,capital_loss,hours_per_week,native_country,income"
    keys = [f"data.header=[{columns}]", "data.label=income", 'data.label_strip="."']
    values = composed(overrides=["data=table", *keys])
    values["data"] |= {f"{split}_path": str(folder / f"adult_{split}.csv.gz") for split in ("train", "test")}
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        dataset, views = prepared(values, Path(scratch))
        prepare_s = time.perf_counter() - started
        training = trained(values, dataset, views, list(range(SEEDS)), threads=1)
        test = dataset.split("test")
        labels, rows = np.asarray(test.labels), torch.from_numpy(np.array(test.inputs))
        right = np.stack([(logits[:, 0] > 0).numpy() == labels for logits in _best_logits(training, rows)])
        trees = boosted(dataset) == labels
        losses = [round(row["loss"], 4) for row in training.judged(dataset.split("val"))]
    low, high = paired_interval(right.mean(0) - trees)
    own = _accuracy([float(one.mean()) for one in right]) | {"seeds": SEEDS, "boosting": round(float(trees.mean()), 4)}
    own |= {
        "validation_loss": losses,
        "difference_low": round(low, 4),
        "difference_high": round(high, 4),
        "prepare_s": round(prepare_s, 1),
    }
    write_row("accuracy_adult", own, {})


def _best_logits(training: Training, rows: torch.Tensor) -> list[torch.Tensor]:
    """Logits (N, 1) of each run's best weights."""
    inputs = training.to_input(rows)
    assert isinstance(inputs, torch.Tensor)
    with torch.no_grad(), training.best.standing_in(training.net.flat):
        return list(training.net.forward(inputs.expand(len(training.lanes), *inputs.shape)))


def boosted(dataset: Dataset) -> np.ndarray[Any, Any]:
    """What scikit-learn's histogram boosting says of each test row, with its own settings, from the same training rows."""
    seen = next(one for one in baselines(dataset.manifest.fit, dataset.manifest.shape) if one.method == "boosting")
    train, test = dataset.split("train"), dataset.split("test")
    model = HistGradientBoostingClassifier(categorical_features=list(seen.categories), random_state=0)
    model.fit(seen.features(np.array(train.inputs)), np.asarray(train.labels))
    return np.asarray(model.predict(seen.features(np.array(test.inputs))))


def penguins(folder: Path) -> None:
    """The species."""
    keys = [SMALL, "data.label=species", "data.missing=[NA]"]
    over_folds("penguins", folder / "penguins.csv", keys)


def diabetes() -> None:
    """The progression of a disease, a number."""
    frame = load_diabetes(as_frame=True, scaled=False).frame
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "diabetes.csv"
        frame.to_csv(path, index=False)
        over_folds("diabetes", path, [SMALL, "data.label=target"])


def friedman() -> None:
    """A number made from five of ten others (Friedman 1991, #1, with noise of deviation 1) and from a category's own level."""
    inputs, target = make_friedman1(2000, noise=1.0, random_state=0)
    frame = pd.DataFrame(inputs.round(6), columns=[f"x{i}" for i in range(inputs.shape[1])])
    frame["group"] = np.random.default_rng(0).choice(list("abcdef"), len(frame))
    frame["target"] = (target + frame["group"].map(dict(zip("abcdef", (-4, -2, 0, 1, 3, 6), strict=True)))).round(6)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "friedman.csv"
        frame.to_csv(path, index=False)
        over_folds("friedman", path, [SMALL, "data.label=target"])


def clothing(folder: Path) -> None:
    """372 photos of ten kinds of clothing, 3 seeds."""
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(folder / "clothing_small_test.tar.gz") as packed:
            packed.extractall(scratch, filter="data")
        over_folds("clothing", Path(scratch) / "clothing" / "test", ["data=folder", "preset=few-photos"], "hog", num_seeds=3)


def over_folds(name: str, path: Path, keys: list[str], method: str = "boosting", num_seeds: int = FOLD_SEEDS) -> None:
    """Scores of a fold's test part, the mean over seeds, and the same of simple methods that are trained on the same rows.

    method: of the simple ones, the one that the row's aim is about.
    """
    values = composed(overrides=keys)
    values["data"] |= {"path": str(path)}
    values["prepare"] |= {"test_fraction": 0.0}
    measure, runs, simple = "", [], dict[str, list[float]]()
    for fold in range(1, FOLDS + 1):
        values["prepare"] |= {"fold": [fold, FOLDS]}
        with tempfile.TemporaryDirectory() as scratch:
            dataset, views = prepared(values, Path(scratch))
            measure = measure_of(dataset.manifest.task)
            training = trained(values, dataset, views, list(range(num_seeds)), threads=1)
            runs.append([row[measure] for row in training.judged(dataset.split("test"))])
            print(f"fold {fold}: {measure} {runs[-1]}", flush=True)
            for one, score in simple_scores(dataset).items():
                simple.setdefault(one, []).append(score)
    own = np.array(runs)
    row: dict[str, Any] = {measure: round(float(own.mean()), 4), "folds": FOLDS, "seeds": num_seeds}
    row["standard_deviation"] = round(float(own.std(ddof=1)), 4)
    for one, scores in simple.items():
        difference = paired_difference(own.mean(1).tolist(), scores, overlap=overlap_of(FOLDS))
        row[one] = round(statistics.mean(scores), 4)
        row[f"less_{one}"] = [round(end, 4) for end in difference.interval or ()]
    row[f"less_{method}_low"], row[f"less_{method}_high"] = row[f"less_{method}"]
    write_row(f"accuracy_{name}", row, {})


def simple_scores(dataset: Dataset) -> dict[str, float]:
    """By method the accuracy, or the mean absolute error, on the test part."""
    train, test, task = dataset.split("train"), dataset.split("test"), dataset.manifest.task
    labels, units = np.asarray(train.labels), units_of(np.asarray(train.labels), task)
    found = {}
    parts = baselines_of(dataset.manifest.kind)
    assert parts is not None
    for seen in parts.baselines(dataset.manifest.fit, dataset.manifest.shape):
        answer = fitted(seen.features(np.array(train.inputs)), labels, task, seen)
        answers = answer(seen.features(np.array(test.inputs)))
        found[seen.name] = abs(float(scored(np.asarray(test.labels), answers, task, units).mean()))
    return found


def _accuracy(values: list[float]) -> dict[str, Any]:
    mean, spread = statistics.mean(values), statistics.stdev(values)
    return {"test_accuracy": round(mean, 4), "standard_deviation": round(spread, 4), "values": [round(v, 4) for v in values]}


if __name__ == "__main__":
    alone = {"digits": digits, "diabetes": diabetes, "friedman": friedman}
    if sys.argv[1] in alone:
        alone[sys.argv[1]]()
    else:
        of_images = {"fashion": fashion, "cifar": cifar, "cifar_short": cifar_short, "clothing": clothing}
        (of_images | {"adult": adult, "penguins": penguins})[sys.argv[1]](Path(sys.argv[2]))
