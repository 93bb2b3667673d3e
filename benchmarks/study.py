"""Many runs of a study: ours against the other ways to compute them (study_peers.py), on this machine's cores.

Rows: study_digits, 64 runs of 64-128-64-10 with 30 epochs, validation and best weights after each; study_fashion, 64 runs of
784-512-512-10 on Fashion-MNIST with one epoch, and the share of the machine's GEMM rate that they reach. Ours is the whole of
what a study does once its process has started: plan, workers, results written one by one. Contenders take turns.

    python -m benchmarks.study digits
    python -m benchmarks.study fashion FOLDER     # of Fashion-MNIST's IDX files
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import ratio, write_row
from benchmarks.study_peers import (
    BATCH,
    DECAY,
    DIGITS,
    EPOCHS,
    FASHION,
    SETTINGS,
    bare_loop,
    gemm_rate,
    own_ray,
    step_products,
    tune_lightning,
    tune_reused,
)
from pipeline.artifacts import stage_dir
from pipeline.config import composed
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.data.views import write_view_folder
from pipeline.prepare.build import build_dataset
from pipeline.schema.base import validated
from pipeline.schema.study import StudyDefinition
from pipeline.study.plan import configuration
from pipeline.study.processes import Processes
from pipeline.study.run import StudyPlan, compute, cores, open_materials, plan

RUNS = 64
CONF = Path(__file__).resolve().parents[1] / "conf"


@contextmanager
def project(overrides: list[str]) -> Iterator[dict[str, Any]]:
    """A scratch folder with the prepared data; its configuration."""
    values, before = composed(CONF, ["augment=none", *overrides]), Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            own = configuration(values)
            stage_dir("prepare").mkdir(parents=True)
            build_dataset(own.data, own.prepare, stage_dir("prepare"), "benchmark")
            stage_dir("augment").mkdir()
            write_view_folder(open_dataset(stage_dir("prepare")), own.augment, stage_dir("augment"), torch.device("cpu"))
            yield values
        finally:
            os.chdir(before)


def planned_runs(values: dict[str, Any], widths: tuple[int, ...], epochs: int) -> StudyPlan:
    """The peers' runs as a study: their settings, and as many seeds as make `RUNS`."""
    settings = {f"s{i}": {"model.dropout": drop, "train.learning_rate": rate} for i, (drop, rate) in enumerate(SETTINGS)}
    first = settings.pop("s0")
    baseline = {
        "model.widths": list(widths[1:-1]),
        "train.batch_size": BATCH,
        "train.epochs": epochs,
        "train.schedule": "constant",
        "train.warmup_epochs": 0.0,
        "train.weight_decay": DECAY,
        **first,
    }
    own = {"question": "?", "baseline": baseline, "variants": settings, "seeds": RUNS // len(SETTINGS)}
    return plan("s", validated(StudyDefinition, own, "study"), values, open_materials(values))


def ours(values: dict[str, Any], widths: tuple[int, ...], epochs: int) -> float:
    """Seconds of the whole study, from its plan to the last result on disk."""
    with tempfile.TemporaryDirectory() as runs:
        os.environ["REGATTA_RUNS"] = runs
        started = time.perf_counter()
        outcomes = compute(planned_runs(values, widths, epochs), Processes(cores()))
        seconds = time.perf_counter() - started
        del os.environ["REGATTA_RUNS"]
    assert len(outcomes) == RUNS
    assert all(outcome.value("val_loss") for outcome in outcomes)
    return seconds


def digits(rounds: int) -> None:
    """Against the bare loop, Tune with actors used again, Tune with Lightning."""
    with project([]) as values:
        data = open_dataset(stage_dir("prepare"))
        ours(values, DIGITS, 1)  # starts the process that has torch loaded
        times: dict[str, list[float]] = {
            "ours": [],
            "bare loop": [],
            "Ray Tune, actors used again": [],
            "Ray Tune, Lightning": [],
        }
        for _ in range(rounds):
            times["ours"].append(ours(values, DIGITS, EPOCHS))
            times["bare loop"].append(bare_loop(RUNS, data))
            with own_ray():
                times["Ray Tune, actors used again"].append(tune_reused(RUNS, data))
                times["Ray Tune, Lightning"].append(RUNS / 16 * tune_lightning(16, data))
            print({name: round(seconds[-1], 2) for name, seconds in times.items()}, flush=True)
    own = times.pop("ours")
    write_row("study_digits", {"seconds": statistics.median(own), "runs": RUNS}, {n: ratio(own, s) for n, s in times.items()})


def fashion(folder: str, rounds: int) -> None:
    """Against the bare loop and against the machine's GEMM rate at these shapes."""
    with project(["data=idx", f"data.path={folder}"]) as values:
        data = open_dataset(stage_dir("prepare"))
        times: dict[str, list[float]] = {"ours": [], "bare loop": []}
        shares = []
        for _ in range(rounds):
            times["ours"].append(ours(values, FASHION, 1))
            times["bare loop"].append(RUNS / 4 * bare_loop(4, data, FASHION, 1, cores()))
            shares.append(_gflops(values, data) / times["ours"][-1] / gemm_rate(step_products(FASHION), cores()))
            print({name: round(seconds[-1], 2) for name, seconds in times.items()}, round(shares[-1], 3), flush=True)
    own = times.pop("ours")
    numbers = {"seconds": statistics.median(own), "runs": RUNS, "share_of_gemm_rate": statistics.median(shares)}
    write_row("study_fashion", numbers, {name: ratio(own, seconds) for name, seconds in times.items()})


def _gflops(values: dict[str, Any], data: Dataset) -> float:
    """Of the products of all runs: forward and backward of training, the first layer's input gradient apart; evaluation."""
    spec = planned_runs(values, FASHION, 1).jobs[0].program.spec
    forward, first = spec.forward_flops(), 2 * FASHION[0] * FASHION[1]
    counts = data.manifest.counts
    return RUNS * (counts["train"] * (3 * forward - first) + 2 * counts["val"] * forward) / 1e9


def main() -> None:
    """Measure one row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", choices=["digits", "fashion"])
    parser.add_argument("folder", nargs="?", help="of Fashion-MNIST's IDX files")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    digits(options.rounds) if options.row == "digits" else fashion(str(Path(options.folder).resolve()), options.rounds)


if __name__ == "__main__":
    main()
