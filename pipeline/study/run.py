"""Running a study's cells: those not yet computed, side by side where their shapes agree, each result stored once."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline import artifacts
from pipeline.data.batches import SHARE_OF_MEMORY, free_bytes
from pipeline.data.dataset import Dataset
from pipeline.errors import NumericsError
from pipeline.model.network import slots
from pipeline.study.plan import BASELINE, Cell, packs
from pipeline.study.statistics import CONFIDENCE, FEWEST_SEEDS, holm, paired_difference, verdict
from pipeline.train.fit import Views
from pipeline.train.identity import chosen_device, identity
from pipeline.train.module import Keeper, run_to_end
from pipeline.train.program import Program, threads_for
from pipeline.train.training import EVAL_ROWS, Training

METRIC = "val_loss"
LARGEST_GROUP = 64
SAVE_EVERY_S, LINE_EVERY_S = 10.0, 10.0

Result = dict[str, Any]


def compute(chosen: Sequence[Cell], data: Dataset, views: Views) -> list[Result]:
    """The result of every cell, in order; computed now or before."""
    device = chosen_device(chosen[0].train.device)
    names = [identity(cell.model, cell.train, data.manifest.digest, views.digest, device).run for cell in chosen]
    missing = {name: cell for name, cell in zip(names, chosen, strict=True) if not _place(name).exists()}
    planned = packs(missing.values(), data.manifest, lambda program: largest_group(program, device))
    print(
        f"study: {len(chosen)} runs, {len(chosen) - len(missing)} of them known already, {len(planned)} groups side by side",
        flush=True,
    )
    name_of = {cell: name for name, cell in ((n, (c.variant, c.seed)) for n, c in missing.items())}
    for program, members in planned:
        torch.set_num_threads(members[0][0].train.threads or threads_for(program))
        training = Training(program, [lane for _, lane in members], data, views.arrays, views.policy, device)
        own = [name_of[cell.variant, cell.seed] for cell, _ in members]
        keeper = GroupKeeper(training, artifacts.runs_root() / "cells" / f"{artifacts.digest(own)}.safetensors")
        with contextlib.suppress(NumericsError):  # every run of the group has failed, and each is recorded as such below
            run_to_end(training, keeper)
        for k, name in enumerate(own):
            artifacts.write_json(_place(name), _result(name, training, k))
        keeper.state.unlink(missing_ok=True)
    return [artifacts.read_json(_place(name)) for name in names]


class GroupKeeper(Keeper):
    """Keeps the state of runs side by side until their results are written, and tells how far they are."""

    save_every_s = SAVE_EVERY_S

    def __init__(self, training: Training, state: Path) -> None:
        self.training, self.state = training, state
        self.started = self.last_line = time.monotonic()
        if state.exists():
            training.restore(*artifacts.load_tensors(state))
        self.first = training.progress.epoch

    def save(self) -> None:
        """All that an interrupted group needs."""
        artifacts.save_tensors(self.state, *self.training.state())

    def after_epoch(self, training: Training) -> None:
        """A line now and then."""
        now, epoch, total = time.monotonic(), training.progress.epoch, training.program.epochs
        if now - self.last_line > LINE_EVERY_S:
            left = (now - self.started) / (epoch - self.first) * (total - epoch)
            print(f"study: epoch {epoch}/{total} of {len(training.lanes)} runs side by side  {left:.0f} s left", flush=True)
            self.last_line = now


def largest_group(program: Program, device: torch.device) -> int:
    """How many runs fit into half of the free memory: parameters five times over, and a step's activations twice."""
    parameters = sum(slot.room for slot in slots(program.spec))
    units = math.prod(program.spec.input_shape) * (1 + sum(program.spec.channels)) + sum(program.spec.widths)
    one = 4 * (5 * parameters + 2 * units * max(program.batch_size // program.shards, EVAL_ROWS))
    return max(1, min(LARGEST_GROUP, int(free_bytes(device) * SHARE_OF_MEMORY) // one))


def _place(name: str) -> Path:
    return artifacts.runs_root() / "cells" / f"{name}.json"


def _result(name: str, training: Training, k: int) -> Result:
    progress = training.progress
    best = progress.best[k]
    return {
        "hash": name,
        "failure": progress.failures[k],
        "best_epoch": best and best["epoch"],
        "val_loss": best and best["loss"],
        "val_accuracy": best and best["accuracy"],
        "rows": progress.rows[k],
        "num_together": len(training.lanes),
        "device": training.device.type,
        "num_threads": torch.get_num_threads(),
    }


def table(chosen: Sequence[Cell], results: Sequence[Result]) -> list[dict[str, Any]]:
    """One row per cell and metric."""
    return [
        {
            "variant": cell.variant,
            "seed": cell.seed,
            "metric": metric,
            "value": result[metric],
            "hash": result["hash"],
            "failure": result["failure"],
            "num_together": result["num_together"],
            "device": result["device"],
        }
        for cell, result in zip(chosen, results, strict=True)
        for metric in ("val_loss", "val_accuracy", "best_epoch")
    ]


def effects(name: str, question: str, chosen: Sequence[Cell], results: Sequence[Result]) -> dict[str, Any]:
    """Each variant's difference from the baseline, over the seeds that both have finished."""
    values: dict[str, dict[int, float]] = {}
    for cell, result in zip(chosen, results, strict=True):
        values.setdefault(cell.variant, {})
        if not result["failure"]:
            values[cell.variant][cell.seed] = result[METRIC]
    baseline, num_seeds = values.pop(BASELINE), len({cell.seed for cell in chosen})
    found = []
    for variant, own in values.items():
        seeds = sorted(own.keys() & baseline.keys())
        found.append((variant, paired_difference([own[s] for s in seeds], [baseline[s] for s in seeds])))
    tested = [difference.p for _, difference in found if difference.p is not None]
    adjusted = iter(holm(tested))
    variants = []
    for variant, difference in found:
        p_holm = next(adjusted) if difference.p is not None else None
        variants.append(
            {
                "name": variant,
                "difference": difference.mean if difference.num_seeds else None,
                "interval": difference.interval and list(difference.interval),
                "p": difference.p,
                "p_holm": p_holm,
                "verdict": verdict(difference.mean, p_holm) if difference.num_seeds else "failed",
                "num_seeds": difference.num_seeds,
                "num_failed": num_seeds - len(values[variant]),
            }
        )
    return {
        "name": name,
        "question": question,
        "metric": METRIC,
        "num_seeds": num_seeds,
        "confidence": CONFIDENCE,
        "baseline": {
            "mean": sum(baseline.values()) / len(baseline) if baseline else None,
            "num_failed": num_seeds - len(baseline),
        },
        "variants": variants,
        "note": f"The interval is over seeds and says nothing about other samples; a verdict needs {FEWEST_SEEDS} seeds.",
    }


def sentences(found: dict[str, Any]) -> list[str]:
    """The effects in words, a line for each variant."""
    lines = []
    for variant in found["variants"]:
        text = f"{variant['name']}: {variant['verdict']}"
        if variant["difference"] is not None:
            text += f", validation loss {variant['difference']:+.4f}"
        if variant["interval"] is not None:
            low, high = variant["interval"]
            text += f" [{low:.4f}, {high:.4f}], {variant['num_seeds']} seeds, p = {variant['p_holm']:.2g} (Holm)"
        lines.append(text + (f"; {variant['num_failed']} runs failed" if variant["num_failed"] else ""))
    return lines
