"""Several workers of one training on a Ray cluster of this machine's cores, against one worker and against Ray Train.

Rows: cluster_start, from the call to the first step and from the last step to the return, beside Ray Train's; cluster_workers,
two workers on a core each against one on one core, and exact sums against fast ones (Fashion-MNIST, batches of 1024);
cluster_job, Ray's published job on Fashion-MNIST; cluster_recovery, from the loss of a worker to the next step;
checkpoint, what saves after each epoch cost. Contenders take turns.

    python -m benchmarks.cluster start
    python -m benchmarks.cluster recovery
    python -m benchmarks.cluster workers FOLDER      # of Fashion-MNIST's IDX files; likewise job, checkpoint
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from benchmarks.cluster_peers import DROPOUT, LEARNED, RATE, published_job, ray_train_loop
from benchmarks.harness import ratio, write_row
from benchmarks.study import project
from pipeline.artifacts import stage_dir
from pipeline.data.dataset import open_dataset
from pipeline.data.views import open_views
from pipeline.distributed.connection import connected
from pipeline.distributed.crew import kill_worker
from pipeline.distributed.training import fit_on_cluster, worker_names
from pipeline.runs.folder import RunFolder
from pipeline.runs.record import Tracker
from pipeline.schema.base import validated
from pipeline.schema.cluster import ClusterConfig
from pipeline.schema.model import ModelConfig
from pipeline.schema.train import TrainConfig
from pipeline.train.fit import RunKeeper, fit

WORKERS = 2
JOB_EPOCHS = 20
JOB = {
    "train__optimizer": "sgd", "train__learning_rate": RATE, "train__momentum": 0.9, "train__weight_decay": 0.0,
    "model__dropout": DROPOUT, "train__batch_size": 64 * WORKERS, "train__epochs": JOB_EPOCHS, "train__shards": WORKERS,
    "train__threads": 1, "cluster__workers": WORKERS,
}  # fmt: skip
"""Ray's published settings."""
FASHION = ["model.widths=[512,512]", "train.schedule=constant", "train.warmup_epochs=0.0"]


class Sections(NamedTuple):
    """What a training is told."""

    model: ModelConfig
    train: TrainConfig
    cluster: ClusterConfig


class Nobody:
    """Takes records and keeps none; may lose the last worker after an epoch."""

    def __init__(self, lose: str | None = None, at_epoch: int = 3) -> None:
        self.lose, self.at_epoch, self.lost_at = lose, at_epoch, 0.0

    def log(self, epoch: int, rows: list[dict[str, Any]]) -> None:
        """Perhaps strike."""
        if self.lose and epoch == self.at_epoch:
            self.lost_at, name, self.lose = time.time(), self.lose, None
            kill_worker(name)

    def finish(self, summary: dict[str, Any], exit_code: int) -> None:
        """Nothing."""


def trained(config: Sections, open_tracker: Callable[[RunFolder], Tracker] = lambda run: Nobody()) -> tuple[RunFolder, float]:
    """The run, new each time, and the seconds that it took."""
    data, views = open_dataset(stage_dir("prepare")), open_views(stage_dir("augment"))
    os.environ["REGATTA_RUNS"] = tempfile.mkdtemp(dir=".")
    with contextlib.redirect_stdout(io.StringIO()):
        started = time.perf_counter()
        if config.cluster.workers > 1:
            run = fit_on_cluster(config.model, config.train, data, views, open_tracker, config.cluster)
        else:
            run = fit(config.model, config.train, data, views, open_tracker)
        seconds = time.perf_counter() - started
    del os.environ["REGATTA_RUNS"]
    return run, seconds


@contextmanager
def warm(overrides: list[str]) -> Iterator[dict[str, Any]]:
    """A project whose data are prepared, and a cluster that is up; its configuration."""
    with (
        project(["cluster=ray", "tracking.mode=disabled", *overrides]) as values,
        connected(with_changes(values).cluster, WORKERS),
    ):
        yield values


def with_changes(values: dict[str, Any], **changes: Any) -> Sections:
    """section__key=value."""
    new = json.loads(json.dumps(values))
    for path, value in changes.items():
        section, key = path.split("__")
        new[section][key] = value
    kinds: dict[str, Any] = {"model": ModelConfig, "train": TrainConfig, "cluster": ClusterConfig}
    return Sections(**{name: validated(kind, new[name], name) for name, kind in kinds.items()})


def moments(run: RunFolder, text: str) -> list[float]:
    """When the first worker's log says something, in seconds since 1970."""
    lines = (run.path / "logs" / "rank-0.log").read_text(encoding="utf-8").splitlines()
    return [datetime.datetime.fromisoformat(line.split()[0]).timestamp() for line in lines if text in line]


def start(rounds: int) -> None:
    """Row cluster_start."""
    ours: dict[str, list[float]] = {"to_first_step_s": [], "beyond_imports_s": [], "end_noticed_s": []}
    peer: dict[str, list[float]] = {"to_loop_s": [], "end_noticed_s": []}
    with warm([]) as values:
        for i in range(rounds + 1):
            config = with_changes(values, cluster__workers=WORKERS, train__epochs=3, train__seed=i)
            called = time.time()
            run, _ = trained(config)
            returned, first = time.time(), moments(run, "first step taken")[0]
            imports = float((run.path / "logs" / "rank-0.log").read_text().split("imports took ")[1].split()[0])
            theirs = ray_train_loop(WORKERS)
            if i:  # the first round warms up
                ours["to_first_step_s"].append(first - called)
                ours["beyond_imports_s"].append(first - called - imports)
                ours["end_noticed_s"].append(returned - moments(run, ": done")[-1])
                peer["to_loop_s"].append(theirs[0])
                peer["end_noticed_s"].append(theirs[1])
            print({name: round(v[-1], 2) for name, v in (ours | {f"peer {k}": v for k, v in peer.items()}).items() if v})
    peers = {
        "Ray Train, from the call to its loop": ratio(ours["to_first_step_s"], peer["to_loop_s"]),
        "Ray Train, from the end to the return": ratio(ours["end_noticed_s"], peer["end_noticed_s"]),
    }
    write_row("cluster_start", {name: statistics.median(own) for name, own in ours.items()}, peers)


def recovery(rounds: int) -> None:
    """Row cluster_recovery."""
    found = []
    with warm([]) as values:
        for i in range(rounds):
            config = with_changes(values, cluster__workers=WORKERS, train__epochs=150, train__seed=i, train__save_every_s=0.5)
            strikers: list[Nobody] = []

            def striker(run: RunFolder, strikers: list[Nobody] = strikers) -> Nobody:
                strikers.append(Nobody(f"{worker_names(run)}/1/{WORKERS - 1}", at_epoch=20))
                return strikers[-1]

            run, _ = trained(config, striker)
            assert run.read()["restarts"] == 1
            found.append(moments(run, "first step taken")[1] - strikers[0].lost_at)
            print(round(found[-1], 2), flush=True)
    write_row("cluster_recovery", {"to_next_step_s": statistics.median(found), "each_s": found}, {})


def workers(folder: str, rounds: int) -> None:
    """Row cluster_workers: samples per second of the training steps."""
    speed: dict[str, list[float]] = {"one": [], "fast": [], "exact": []}
    with warm(["data=idx", f"data.path={folder}", *FASHION]) as values:
        same = {"train__batch_size": 1024, "train__threads": 1, "train__epochs": 3, "train__shards": WORKERS}
        for i in range(rounds):
            for name in speed:
                cluster = {
                    "cluster__workers": WORKERS if name != "one" else 1,
                    "cluster__reduce": name if name != "one" else "exact",
                }
                own = {**same, "train__shards": 1} if name == "fast" else same
                run, _ = trained(with_changes(values, **own, **cluster, train__seed=i))
                speed[name].append(run.read()["samples_per_s"])
            print({name: round(own[-1]) for name, own in speed.items()}, flush=True)
    cost = [fast / exact - 1 for fast, exact in zip(speed["fast"], speed["exact"], strict=True)]
    numbers = {f"samples_per_s_{name}": statistics.median(own) for name, own in speed.items()}
    peers = {"one worker": ratio(speed["one"], speed["fast"]), "one worker, exact sums": ratio(speed["one"], speed["exact"])}
    write_row("cluster_workers", {**numbers, "exact_costs": statistics.median(cost)}, peers)


def job(folder: str, rounds: int) -> None:
    """Row cluster_job: seconds of the whole call on a cluster that is up."""
    ours, theirs = [], []
    with warm(["data=idx", f"data.path={folder}", *FASHION]) as values:
        for i in range(rounds):
            run, seconds = trained(with_changes(values, **JOB, train__seed=i))
            assert run.read()["best_val_accuracy"] > LEARNED
            ours.append(seconds)
            theirs.append(published_job(open_dataset(stage_dir("prepare")), WORKERS, JOB_EPOCHS))
            print(round(ours[-1], 1), round(theirs[-1], 1), flush=True)
    numbers = {"seconds": statistics.median(ours), "epochs": JOB_EPOCHS, "workers": WORKERS}
    write_row("cluster_job", numbers, {"Ray Train with DataLoader": ratio(ours, theirs)})


def checkpoint(folder: str, rounds: int) -> None:
    """Row checkpoint: what one worker's training waits for in the saves after each epoch, of the time of the epochs.

    Both are of one run: the wall time of two runs on a shared machine differs by more than a save takes.
    """
    epochs, shares, saves = 6, [], []
    with project(["data=idx", f"data.path={folder}", *FASHION]) as values:
        for i in range(rounds):
            seconds: list[float] = []
            with mock.patch.object(RunKeeper, "save", timed(RunKeeper.save, seconds)):
                run, _ = trained(with_changes(values, train__epochs=epochs, train__save_every_s=0.0, train__seed=i))
            assert len(seconds) == epochs + 2  # one before the first epoch, one at the end
            saves += seconds[1:-1]
            shares.append(sum(seconds[1:-1]) / run.read()["wall_s"])
            print(round(shares[-1], 4), [round(one, 3) for one in seconds], flush=True)
    numbers = {"overhead": statistics.median(shares), "each": shares, "save_s": statistics.median(saves), "epochs": epochs}
    write_row("checkpoint", numbers, {})


def timed(function: Callable[..., None], seconds: list[float]) -> Callable[..., None]:
    """The same, which notes how long each call takes."""

    def called(*args: Any) -> None:
        started = time.perf_counter()
        function(*args)
        seconds.append(time.perf_counter() - started)

    return called


def main() -> None:
    """Measure one row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", choices=["start", "recovery", "workers", "job", "checkpoint"])
    parser.add_argument("folder", nargs="?", help="of Fashion-MNIST's IDX files")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.row in ("start", "recovery"):
        {"start": start, "recovery": recovery}[options.row](options.rounds)
    else:
        own = {"workers": workers, "job": job, "checkpoint": checkpoint}[options.row]
        own(str(Path(options.folder).resolve()), options.rounds)


if __name__ == "__main__":
    main()
