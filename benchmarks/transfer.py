"""What it gains to start from another run's weights, against from scratch: the same seeds, the same few samples of each class.

Rows: transfer_photos, 372 photos of clothing from 12,000 of CIFAR-10's images; transfer_fashion, 5,000 of
Fashion-MNIST's images from the embedded digits, and transfer_digits, the other way round, in one network
for 28 x 28; transfer_voices, spoken digits of one speaker from those of the other five.

A gain is one in accuracy on test samples, the mean over 8 seeds with its paired 95 % interval; the verdict
is the study's, by validation loss (Holm). An interval is over seeds and says nothing about other samples.
Networks, augmentation and optimisers are those that come along; few samples are seen in more epochs.
Sources are small, for time.

    python -m benchmarks.transfer photos FOLDER   # of clothing_small_test.tar.gz, cifar10_train.parquet
    python -m benchmarks.transfer fashion FOLDER  # of Fashion-MNIST's IDX files
    python -m benchmarks.transfer digits FOLDER   # the same
    python -m benchmarks.transfer voices FOLDER   # that holds fsdd_wav.tar.gz, or its WAVs in recordings/
"""

from __future__ import annotations

import csv
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.harness import write_row
from benchmarks.sounds import TABLE, recordings
from benchmarks.study import project
from pipeline.artifacts import stage_dir
from pipeline.data.dataset import open_dataset
from pipeline.data.views import open_views
from pipeline.runs.record import publish
from pipeline.schema.base import validated
from pipeline.schema.model import ModelConfig
from pipeline.schema.study import StudyDefinition
from pipeline.schema.train import TrainConfig
from pipeline.study.effects import effects
from pipeline.study.plan import contrasts, variants
from pipeline.study.processes import Processes
from pipeline.study.run import compute, cores, open_materials, plan
from pipeline.train.fit import fit
from pipeline.train.program import program_of

SEEDS = 8
SPLITS = ["prepare.val_fraction=0.15", "prepare.test_fraction=0.35"]
"""Of targets of some hundred samples: enough of them to be judged by."""
CLOTHING, CIFAR = "clothing_small_test.tar.gz", "cifar10_train.parquet"
PHOTOS = ["preset=photos", "data.size=32"]
GREY = ["model=cnn", "augment=light", "data.size=28"]
FASHION, DIGITS = ["data=idx", "prepare.limit=5000"], ["data=digits", "data.enlarge=true"]
VOICES = ["data=audio", "augment=audio"]
OF_CIFAR = 12_000
SPEAKER = "george"
"""The first of the six by name."""
Epochs = Mapping[str, int]
"""By how many samples of each class, or all."""


class Unwatched:
    """Of whoever watches a training: nobody."""

    def log(self, epoch: int, rows: Any) -> None:
        pass

    def finish(self, summary: Any, exit_code: int) -> None:
        pass


def source(overrides: list[str]) -> str:
    """Train a network and publish it in the runs that all projects here share; its run's name."""
    with project([*overrides, "train.threads=1"]) as values:
        started = time.perf_counter()
        model, train = validated(ModelConfig, values["model"], "model"), validated(TrainConfig, values["train"], "train")
        data, views = open_dataset(stage_dir("prepare")), open_views(stage_dir("augment"))
        folder = fit(model, train, data, views, lambda _: Unwatched())
        publish(folder, stage_dir("train"), model, data.manifest, program_of(model, train, data.manifest)[0])
        found = folder.read()
        print(f"source {folder.id}: {found['best_val_accuracy']:.4f} in {time.perf_counter() - started:.0f} s", flush=True)
    return folder.id


def gains(overrides: list[str], run: str, epochs: Epochs) -> dict[str, Any]:
    """By how many samples of each class: both accuracies on test samples, the gain with its interval, the verdict."""
    levels = {num: {"train.epochs": own, "train.per_class": int(num) if num != "all" else None} for num, own in epochs.items()}
    keys = {"question": "?", "seeds": SEEDS, "test": True, "sources": {"source": run}, "factors": {"samples": levels}}
    definition = validated(StudyDefinition, keys, "study")
    with project(overrides) as values:
        outcomes = compute(plan("transfer", definition, values, open_materials(values)), Processes(cores()))
        every = variants(definition)
        found = effects("transfer", definition, every, outcomes, contrasts(definition, values))
        counts = open_dataset(stage_dir("prepare")).manifest.counts
    by_name = {variant["name"]: variant for variant in found["variants"]}
    row: dict[str, Any] = {"training, validation and test samples": list(counts.values())}
    for num in epochs:
        row |= told("all" if num == "all" else f"{num} of each class", by_name[f"source-{num}"])
    return row


def told(name: str, variant: Mapping[str, Any]) -> dict[str, Any]:
    """A size's lines of the row."""
    test = variant["others"]["test_accuracy"]
    gain = [test["difference"], *(test["interval"] or [])]
    return {
        f"{name}: from scratch": round(test["mean"] - test["difference"], 4),
        f"{name}: started": round(test["mean"], 4),
        f"{name}: gain, from, to": [round(value, 4) for value in gain],
        f"{name}: gain in validation loss, from, to": _gain_in_loss(variant),
        f"{name}: verdict": f"{variant['verdict']}{' (negative transfer)' if variant['verdict'] == 'hurts' else ''}",
    }


def _gain_in_loss(variant: Mapping[str, Any]) -> list[float]:
    low, high = sorted(-end for end in variant["interval"])
    return [round(value, 4) for value in (-variant["difference"], low, high)]


def photos(folder: Path) -> None:
    """Clothing from CIFAR-10."""
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(folder / CLOTHING) as packed:
        packed.extractall(scratch, filter="data")
        place, images = Path(scratch) / "clothing" / "test", Path(scratch) / CIFAR
        pq.write_table(pq.read_table(folder / CIFAR).slice(0, OF_CIFAR), images)  # its rows are in no order
        there = ["data=parquet", *PHOTOS, f"data.path={images}", "train.epochs=5", "train.batch_size=64"]
        run = source(there)
        own = ["data=folder", *PHOTOS, f"data.path={place}", *SPLITS]
        write_row("transfer_photos", gains(own, run, {"all": 20, "10": 30, "5": 40}), {})


def fashion(folder: Path) -> None:
    """Fashion-MNIST from the embedded digits."""
    own = [*GREY, *FASHION, f"data.path={folder}"]
    run = source([*GREY, *DIGITS, "train.epochs=10"])
    write_row("transfer_fashion", gains(own, run, {"20": 20, "5": 40}), {})


def digits(folder: Path) -> None:
    """The embedded digits from Fashion-MNIST."""
    run = source([*GREY, *FASHION, f"data.path={folder}", "train.epochs=5"])
    write_row("transfer_digits", gains([*GREY, *DIGITS], run, {"20": 10, "5": 20}), {})


def voices(folder: Path) -> None:
    """One speaker's digits from those of five others."""
    with recordings(folder) as place:
        rows = list(csv.DictReader((place / TABLE).open()))
        for name in ("own", "others"):
            with (place / f"{name}.csv").open("w", newline="") as file:
                table = csv.DictWriter(file, ["audio", "label"], extrasaction="ignore")
                table.writeheader()
                table.writerows(row for row in rows if (row["speaker"] == SPEAKER) == (name == "own"))
        run = source([*VOICES, f"data.path={place / 'others.csv'}", "data.length=1.0", "train.epochs=6"])
        own = [*VOICES, f"data.path={place / 'own.csv'}", "data.length=1.0", *SPLITS]
        write_row("transfer_voices", gains(own, run, {"20": 12, "5": 24}), {})


def main() -> None:
    """Measure one row; the runs of its projects lie in one scratch folder."""
    with tempfile.TemporaryDirectory() as runs:
        os.environ["REGATTA_RUNS"] = runs
        {"photos": photos, "fashion": fashion, "digits": digits, "voices": voices}[sys.argv[1]](Path(sys.argv[2]).resolve())


if __name__ == "__main__":
    main()
