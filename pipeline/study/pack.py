"""Runs of one program side by side, from start or saved state to their results: what a worker of a study does."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline import artifacts
from pipeline.data.dataset import Data, open_dataset
from pipeline.data.views import Views, open_views
from pipeline.errors import NumericsError, Stopped
from pipeline.study.job import Job
from pipeline.study.result import Result
from pipeline.study.samples import Judged, judged
from pipeline.train.device import chosen_device
from pipeline.train.keeper import Keeper
from pipeline.train.module import run_to_end
from pipeline.train.training import Training

SAVE_EVERY_S = 10.0
Tell = Callable[[float], bool]
"""Takes the share that is done; whether to go on."""


@dataclass(frozen=True)
class Held:
    """A job's data: read from its files, or held in memory by a worker elsewhere."""

    data: Data
    views: list[Views]


def opened(job: Job) -> Held:
    """A job's data from its files, which every run that names them shares."""
    stored = {path: open_views(Path(path)) for path in {cell.views_path for cell in job.cells} if path is not None}
    views = [Views([], cell.policy, cell.views) if cell.views_path is None else stored[cell.views_path] for cell in job.cells]
    return Held(open_dataset(Path(job.data_path)), views)


def run_pack(job: Job, tell: Tell, held: Held | None = None, keeper: type[GroupKeeper] | None = None) -> list[Result]:
    """Train a job's runs to their ends; their results in its order. tell: the share that is done, now and then.

    Raises Stopped after a signal; what has been done is then saved in `job.state`, and the same job goes on from there.
    """
    torch.set_num_threads(job.threads)
    held = held or opened(job)
    started = time.perf_counter()
    training = Training(job.program, [cell.lane for cell in job.cells], held.data, held.views, chosen_device(job.device))
    kept = (keeper or GroupKeeper)(training, job, tell)
    with contextlib.suppress(NumericsError):  # all of the runs have failed, and each is recorded as such below
        run_to_end(training, kept)
    tests = training.judged(held.data.split("test")) if job.test else None
    seconds = kept.seconds_before + time.perf_counter() - started
    on = judged(held.data, job.test)
    return [_result(job, training, k, seconds / len(job.cells), on, tests[k] if tests else None) for k in range(len(job.cells))]


class GroupKeeper(Keeper):
    """Keeps the state of runs side by side until their results are known, and tells how far they are."""

    save_every_s = SAVE_EVERY_S

    def __init__(self, training: Training, job: Job, tell: Tell) -> None:
        self.training, self.job, self.tell = training, job, tell
        self.started, self.seconds_before = time.perf_counter(), 0.0
        state = Path(job.state)
        if state.exists():
            tensors, values = artifacts.load_tensors(state)
            self.seconds_before = values["seconds"]
            training.restore(tensors, values["progress"])
            training.rows = values["rows"]

    def save(self) -> None:
        """All that interrupted runs need, and which runs they are; nothing once they have ended: they are results then."""
        if self.training.done:
            return
        tensors, progress = self.training.state()
        seconds = self.seconds_before + time.perf_counter() - self.started
        names = [cell.hash for cell in self.job.cells]
        more = {"progress": progress, "rows": self.training.rows, "cells": names, "seconds": seconds}
        artifacts.save_tensors(Path(self.job.state), tensors, more)

    def after_block(self, training: Training) -> None:
        done = training.progress.epoch + training.progress.step / training.steps_per_epoch
        if not self.tell(done / training.program.epochs):
            self.save()
            raise Stopped("stopped by whoever started it; the same command goes on from here")


def _result(job: Job, training: Training, k: int, seconds: float, on: Judged, test: dict[str, float] | None) -> Result:
    cell, progress = job.cells[k], training.progress
    rows, best = training.rows[k], progress.best[k]
    measure = job.program.measure
    by_place = {(row["epoch"], row["split"]): row for row in rows}
    last = rows[-1]["epoch"] if rows else None
    metrics = {"num_epochs": last or 0, "num_parameters": training.net.layout.num_parameters, "num_train": len(training.ids)}
    for name, epoch in (("", best and best["epoch"]), ("last_", last)):
        val, clean = by_place.get((epoch, "val")), by_place.get((epoch, "train_clean"))
        known = bool(val and clean) and not (name and progress.failures[k])
        metrics |= {
            f"{name}val_loss": val["loss"] if known and val else None,
            f"{name}val_{measure}": val[measure] if known and val else None,
            f"{name}gap": val["loss"] - clean["loss"] if known and val and clean else None,
        }
        metrics |= {} if name else {"train_loss": clean["loss"] if known and clean else None}
    steps = (last or 0) * training.steps_per_epoch
    metrics |= {
        "best_epoch": best and best["epoch"],
        "seconds": seconds,
        "flops": 3.0 * job.program.spec.forward_flops() * job.program.batch_size * steps,
    }
    if job.test:
        tested = test if test is not None and best is not None and not progress.failures[k] else {}
        metrics |= {f"test_{name}": tested.get(name) for name in ("loss", measure)}
    return Result(
        hash=cell.hash,
        without_code=cell.without_code,
        code=job.code,
        failure=progress.failures[k],
        ended=progress.ended[k] or "epochs",
        device=training.device.type,
        num_threads=job.threads,
        num_together=len(job.cells),
        val_samples=on.val,
        test_samples=on.test,
        metrics={name: value if value is None or math.isfinite(value) else None for name, value in metrics.items()},
        rows=rows,
    )
