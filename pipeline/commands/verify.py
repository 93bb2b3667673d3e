"""`regatta verify cluster.workers=2`: several workers train what one trains, shown on the user's own data."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.artifacts import make_dir, read_jsonl, runs_root, stage_dir
from pipeline.commands.compose import change
from pipeline.commands.runs import table
from pipeline.config import Config, checked, read_values
from pipeline.data.dataset import Dataset
from pipeline.data.views import Views
from pipeline.errors import ConfigError, RegattaError
from pipeline.runs.find import run_named
from pipeline.runs.folder import RunFolder
from pipeline.schema.train import TrainConfig
from pipeline.train.prepared import opened

MOST_SAMPLES = 4096
SECONDS = 4.0
"""One worker trains about so long: long enough to lose a worker on the way."""
MOST_EPOCHS = 200
TOLERANCE = 1e-4
"""Largest difference of a weight after the first epoch under cluster.reduce=fast, of the largest weight."""
TIMES = ("seconds", "samples_per_s")
Row = tuple[str, str, bool]


@dataclass(frozen=True)
class Outcome:
    """A training's records and last state."""

    rows: list[dict[str, Any]]
    state: dict[str, Any]
    restarts: int
    seconds: float


class Nobody:
    """Takes records and keeps none."""

    def log(self, epoch: int, rows: list[dict[str, Any]]) -> None:
        pass

    def finish(self, summary: dict[str, Any], exit_code: int) -> None:
        pass


@dataclass
class Saboteur(Nobody):
    """Ends the last worker's process once the first epoch is in the records."""

    name: str
    done: bool = False

    def log(self, epoch: int, rows: list[dict[str, Any]]) -> None:
        from pipeline.distributed.crew import kill_worker

        if not self.done:
            kill_worker(self.name)
        self.done = True


def verify(options: argparse.Namespace) -> int:
    """Train with one worker and with several, and print what is equal; exit code 1 where something is not."""
    config = asked(options.overrides)
    workers = config.cluster.workers
    if not (stage_dir("prepare") / "dataset.json").exists() or not (stage_dir("augment") / "augment.json").exists():
        raise ConfigError("artifacts/prepare and artifacts/augment are missing; say `regatta run` first, then verify")
    on = opened(config.model, config.train)
    data, views = on.data, on.views
    started = time.monotonic()
    with scratch() as folder:
        rows = list(checks(Trial(config, data, views, folder)))
    good = all(row[2] for row in rows)
    head = ("on your data", f"one worker against {workers}", "")
    for line in table([head, *((what, result, "yes" if holds else "NO") for what, result, holds in rows)]):
        print(line)
    if not good:
        raise RegattaError("several workers do not train what one trains; please report it with the table above")
    print(f"Several workers train what one trains ({time.monotonic() - started:.0f} s).")
    return 0


def asked(overrides: list[str]) -> Config:
    """The configuration with cluster=ray, unless it has that already, and the overrides; nothing is written."""
    ray = (read_values() or {}).get("cluster", {}).get("kind") == "ray"
    words = overrides if ray or any(word.startswith("cluster=") for word in overrides) else ["cluster=ray", *overrides]
    new = change(words)
    for line in new.recognised:
        print(line, flush=True)
    config = checked(new.values)
    if config.cluster.workers < 2:
        raise ConfigError("cluster.workers = 1: there is nothing to compare; say `regatta verify cluster.workers=2`")
    return config


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the runs, with a log of what they say; gone afterwards."""
    folder, before = (runs_root() / "verify").absolute(), os.environ.get("REGATTA_RUNS")
    shutil.rmtree(folder, ignore_errors=True)
    make_dir(folder)
    try:
        yield folder
    finally:
        if before is None:
            os.environ.pop("REGATTA_RUNS", None)
        else:
            os.environ["REGATTA_RUNS"] = before
        shutil.rmtree(folder, ignore_errors=True)


class Trial:
    """Short trainings of the user's configuration on a part of the user's data."""

    def __init__(self, config: Config, data: Dataset, views: Views, folder: Path) -> None:
        self.config, self.data, self.views, self.folder = config, data, views, folder
        self.source = run_named(config.model.init_from).path.absolute() if config.model.init_from else None
        """The run that the network starts from, if there is one."""
        self.num = 0

    def train(self, epochs: int) -> TrainConfig:
        """The user's settings, but for what makes it short, and one thread, since threads change the order of sums."""
        train = self.config.train
        every = self.data.manifest.num_train(train.limit, train.per_class)
        num = min(every, MOST_SAMPLES)
        shards = max(train.shards, 1 << (self.config.cluster.workers - 1).bit_length())
        short = {
            "epochs": epochs,
            "limit": num,
            "per_class": None,
            "batch_size": min(train.batch_taken(every), num),
            "schedule": "constant",
        }
        short |= {"unfreeze_epoch": train.unfreeze_epoch and min(train.unfreeze_epoch, epochs)}
        return train.model_copy(update=short | {"warmup_epochs": 0.0, "early_stop": 0, "shards": shards, "threads": 1})

    def one(self, epochs: int) -> Outcome:
        """By one worker, in this process."""
        from pipeline.train.fit import fit

        with self._apart():
            return outcome_of(fit(self.config.model, self.train(epochs), self.data, self.views, lambda run: Nobody()))

    def several(self, epochs: int, reduce: str, lose_one: bool = False) -> Outcome:
        """By all workers; perhaps the last of them is ended on the way."""
        from pipeline.distributed.training import fit_on_cluster, worker_names

        cluster = self.config.cluster.model_copy(update={"reduce": reduce})

        def tracker(run: RunFolder) -> Nobody:
            return Saboteur(f"{worker_names(run)}/1/{cluster.workers - 1}") if lose_one else Nobody()

        with self._apart():
            return outcome_of(fit_on_cluster(self.config.model, self.train(epochs), self.data, self.views, tracker, cluster))

    @contextmanager
    def _apart(self) -> Iterator[None]:
        """A root of runs of its own, so that none is found again; what is said goes to a log."""
        self.num += 1
        root = self.folder / str(self.num)
        os.environ["REGATTA_RUNS"] = str(root)
        if self.source:
            make_dir(root)
            (root / self.source.name).symlink_to(self.source)
        with (self.folder / "log.txt").open("a", encoding="utf-8") as log, contextlib.redirect_stdout(log):
            yield


def outcome_of(run: RunFolder) -> Outcome:
    """What a training has left."""
    rows = [{key: value for key, value in row.items() if key not in TIMES} for row in read_jsonl(run.metrics)]
    facts = run.read()
    return Outcome(rows, run.load_state()[0], facts["restarts"], facts["wall_s"])


def checks(trial: Trial) -> Iterator[Row]:
    """What is compared, in words, and whether it holds."""
    from pipeline.distributed.connection import connected

    cluster = trial.config.cluster
    print(
        f"verify: one worker, then {cluster.workers} with exact sums, with fast ones, and with one lost on the way", flush=True
    )
    first = trial.one(1)
    epochs = min(MOST_EPOCHS, max(3, math.ceil(SECONDS / max(first.seconds, 1e-3))))
    one = trial.one(epochs)
    num = trial.train(1).limit
    with connected(cluster, cluster.workers):
        exact = trial.several(epochs, "exact")
        yield f"{epochs} epochs of {num} samples: weights and optimizer", *equal_state(one, exact)
        yield "training loss: every sample once, in the same batch", *equal_rows(one, exact, "train")
        yield "validation loss: every sample once", *equal_rows(one, exact, "val")
        lost = trial.several(epochs, "exact", lose_one=True)
        words, same = equal_state(one, lost)
        yield f"the same with a worker lost on the way, {lost.restarts} restart", words, same and lost.restarts == 1
        if trial.config.model.is_module or trial.config.model.is_tuned:
            return  # whose masks and statistics are each shard's own, and fast sums cut other shards
        fast = trial.several(1, "fast")
        distance = largest_difference(first, fast)
        yield (
            "fast sums, 1 epoch: largest difference of a weight",
            f"{distance:.1e} (at most {TOLERANCE:g})",
            distance < TOLERANCE,
        )


def equal_state(one: Outcome, other: Outcome) -> tuple[str, bool]:
    """Bit for bit."""
    differing = [name for name, array in one.state.items() if not np.array_equal(array, other.state[name])]
    num = sum(array.size for array in one.state.values())
    return (f"differ in {', '.join(differing)}" if differing else f"{num:,} numbers, same bits"), not differing


def equal_rows(one: Outcome, other: Outcome, split: str) -> tuple[str, bool]:
    """The records of a split, bit for bit."""
    pairs = list(zip(*([row for row in outcome.rows if row["split"] == split] for outcome in (one, other)), strict=True))
    epochs = [first["epoch"] for first, second in pairs if first != second]
    return (f"differ from epoch {epochs[0]} on" if epochs else f"{pairs[-1][0]['loss']:.6f}, same bits"), not epochs


def largest_difference(one: Outcome, other: Outcome) -> float:
    """Of a weight, relative to the largest weight."""
    first, second = one.state["parameters"], other.state["parameters"]
    return float(np.abs(first - second).max() / np.abs(first).max())
