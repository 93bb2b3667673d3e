"""Mirroring a study to W&B's local files: seconds per cell, the mirror's process and its start included.

64 cells of 30 epochs, with the numbers that a network of three layers writes. Row: tracking_study. No peer: beside it
stands `wandb.init` by default, a new process for each cell, which is what a trial per process pays.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import ratio, write_row
from pipeline.artifacts import digest
from pipeline.mirror import mirror_study
from pipeline.schema.tracking import TrackingConfig

NUM_CELLS, EPOCHS, ROUNDS, PEER_CELLS = 64, 30, 5, 4
PEER = f"""
import os, wandb
run = wandb.init(mode="offline", project="regatta", dir=os.environ["REGATTA_RUNS"], settings=wandb.Settings(silent=True))
for epoch in range(1, {EPOCHS} + 1):
    run.log({{f"number{{i}}": i / epoch for i in range(12)}}, step=epoch)
run.finish()
"""


def rows(epoch: int) -> list[dict[str, Any]]:
    """What training writes of an epoch."""
    shown = {"epoch": epoch, "loss": 1 / epoch, "accuracy": 1 - 1 / epoch}
    norms = {"dense1": 0.5 / epoch, "dense2": 0.25 / epoch, "output": 0.125 / epoch}
    train = {"learning_rate": 2e-3, "grad_norm": 1 / epoch, "layer_grad_norms": norms, "seconds": 0.01, "samples_per_s": 1e5}
    return [{"split": "train", **shown, **train}, {"split": "val", **shown}]


def cell(k: int) -> dict[str, Any]:
    """The kth cell of the study."""
    return {
        "hash": digest(["tracking_study", k]),
        "variant": f"variant{k // 8}",
        "seed": k % 8,
        "config": {"model.dropout": k / 100, "train.learning_rate": 2e-3},
        "metrics": {"val_loss": 0.1, "val_accuracy": 0.97, "best_epoch": 20},
        "rows": [row for epoch in range(1, EPOCHS + 1) for row in rows(epoch)],
        "failure": None,
    }


def ours() -> float:
    """Seconds per cell of one study, none of whose cells has been mirrored."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["REGATTA_RUNS"] = folder
        cells = [cell(k) for k in range(NUM_CELLS)]
        started = time.perf_counter()
        mirror_study(TrackingConfig(mode="offline", project="regatta", entity=None), "benchmark", cells)
        seconds = time.perf_counter() - started
        assert len(list(Path(folder).glob("cells/wandb/offline-run-*/*.wandb"))) == NUM_CELLS
        return seconds / NUM_CELLS


def processes() -> float:
    """Seconds per cell where each has a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        for _ in range(PEER_CELLS):
            subprocess.run([sys.executable, "-c", PEER], check=True, env=os.environ | {"REGATTA_RUNS": folder})
        return (time.perf_counter() - started) / PEER_CELLS


def main() -> None:
    """Measure in turns and write the row."""
    own, others = zip(*((ours(), processes()) for _ in range(1 + ROUNDS)), strict=True)
    values = {"s_per_cell": statistics.median(own[1:]), "num_cells": NUM_CELLS, "epochs": EPOCHS}
    write_row("tracking_study", values, {"wandb.init in a process per cell": ratio(own[1:], others[1:])})


if __name__ == "__main__":
    main()
