"""Running a study's cells: those not yet computed, side by side where their shapes agree, each result stored once."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline import artifacts
from pipeline.data.dataset import Dataset
from pipeline.errors import NumericsError
from pipeline.study.plan import BASELINE, Cell, packs
from pipeline.study.statistics import CONFIDENCE, FEWEST_SEEDS, holm, paired_difference, verdict
from pipeline.train.fit import Views
from pipeline.train.identity import chosen_device, identity
from pipeline.train.module import Keeper, run_to_end
from pipeline.train.program import threads_for
from pipeline.train.training import Training

METRIC = "val_loss"
LARGEST_PACK = 64

Result = dict[str, Any]


def compute(chosen: Sequence[Cell], data: Dataset, views: Views) -> list[Result]:
    """The result of every cell, in order; computed now or before."""
    device = chosen_device(chosen[0].train.device)
    names = [identity(cell.model, cell.train, data.manifest.digest, views.digest, device).run for cell in chosen]
    missing = {name: cell for name, cell in zip(names, chosen, strict=True) if not _place(name).exists()}
    planned = packs(missing.values(), data.manifest, LARGEST_PACK)
    print(
        f"study: {len(chosen)} runs, {len(chosen) - len(missing)} of them known already, {len(planned)} groups side by side",
        flush=True,
    )
    name_of = {cell: name for name, cell in ((n, (c.variant, c.seed)) for n, c in missing.items())}
    for program, members in planned:
        torch.set_num_threads(members[0][0].train.threads or threads_for(program))
        training = Training(program, [lane for _, lane in members], data, views.arrays, views.policy, device)
        with contextlib.suppress(NumericsError):  # every run of the group has failed, and each is recorded as such below
            run_to_end(training, Keeper())
        for k, (cell, _) in enumerate(members):
            name = name_of[cell.variant, cell.seed]
            artifacts.write_json(_place(name), _result(name, training, k))
    return [artifacts.read_json(_place(name)) for name in names]


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
                "verdict": verdict(difference.mean, p_holm),
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
        lines.append(text + (f"; {variant['num_failed']} failed" if variant["num_failed"] else ""))
    return lines
