"""What is said about the time that something takes, against the time that it took.

Row: time_left. Of every study of conf/study, with its own seeds on the digits, and of a training of 400 epochs:
`NAME.plan`, what a dry run expects by what it took; `NAME.worst` and `NAME.within_2`, of the times left on the way (at every
turn of a study, at every epoch of a training): the one farthest from the truth, as a ratio, and the share that lies within a
factor of two. Times left below 2 s do not count. That torch is loaded once, which a dry run measures and adds, is left out.

    python -m benchmarks.time_left
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
import yaml

from benchmarks.harness import write_row
from benchmarks.study import CONF, project
from pipeline.artifacts import stage_dir
from pipeline.data.dataset import open_dataset
from pipeline.data.views import open_views
from pipeline.progress import Pace
from pipeline.schema.base import validated
from pipeline.schema.study import StudyDefinition
from pipeline.study.forecast import Forecast, tried
from pipeline.study.plan import configuration
from pipeline.study.processes import Processes
from pipeline.study.run import compute, cores, open_materials, plan
from pipeline.train.device import chosen_device
from pipeline.train.keeper import Keeper
from pipeline.train.module import run_to_end
from pipeline.train.program import program_of, threads_for
from pipeline.train.training import Training
from pipeline.train.trial import expected_seconds

LEAST_S, EPOCHS = 2.0, 400
WARM_UP = {"question": "?", "seeds": 1, "variants": {"none": {"model.dropout": 0.0}}, "baseline": {"train.epochs": 3}}
Told = list[tuple[float, float]]
"""When a time left was told, and which."""


def main() -> None:
    """Measure and write the row."""
    found: dict[str, float] = {}
    with project(["augment=light", f"train.epochs={EPOCHS}"]) as values:
        found |= of_training(values)
        of_study("warm-up", validated(StudyDefinition, WARM_UP, "warm-up"), values)
        for file in sorted((CONF / "study").glob("*.yaml")):
            for name, own in (yaml.safe_load(file.read_text())["definitions"] or {}).items():
                found |= of_study(name, validated(StudyDefinition, own, name), values)
    plans = [value for key, value in found.items() if key.endswith(".plan")]
    worst = max(map(far, plans))
    told = min(value for key, value in found.items() if key.endswith(".within_2"))
    write_row("time_left", {"worst_plan": worst, "told_within_2": told, **found}, {})


def of_study(name: str, definition: StudyDefinition, values: dict[str, Any]) -> dict[str, float]:
    """A study's runs that have no result yet."""
    materials = open_materials(values)
    todo = plan(name, definition, values, materials)
    expected = tried(todo, materials.manifest)
    told: Told = []
    left = Forecast.left

    def noted(*arguments: Any) -> float | None:
        found = left(*arguments)
        told.extend([] if found is None else [(time.monotonic(), found)])
        return found

    with mock.patch.object(Forecast, "left", noted):
        return judged(name, expected, told, lambda: compute(todo, Processes(cores())))


def of_training(values: dict[str, Any]) -> dict[str, float]:
    """A training of the network that comes along."""
    own, data, views = configuration(values), open_dataset(stage_dir("prepare")), open_views(stage_dir("augment"))
    program, lane = program_of(own.model, own.train, data.manifest)
    threads = threads_for(program)
    expected = expected_seconds(program, [lane], [views], data.manifest, "cpu", threads)
    torch.set_num_threads(threads)
    training = Training(program, [lane], data, [views], chosen_device("cpu"))
    telling = Telling()
    return judged("training", expected, telling.told, lambda: run_to_end(training, telling))


class Telling(Keeper):
    """Notes the time left as the display of a training tells it."""

    def __init__(self) -> None:
        self.pace, self.told = Pace(), list[tuple[float, float]]()

    def after_block(self, training: Training) -> None:
        """Note it."""
        self.pace.at(training.progress.epoch * training.steps_per_epoch + training.progress.step)

    def after_epoch(self, training: Training) -> None:
        """Note the time left."""
        left = self.pace.left(training.program.epochs * training.steps_per_epoch)
        self.told += [] if left is None else [(time.monotonic(), left)]


def judged(name: str, expected: float, told: Told, work: Callable[[], object]) -> dict[str, float]:
    """What was said against what was so."""
    started = time.monotonic()
    work()
    ended = time.monotonic()
    ratios = [left / (ended - when) for when, left in told if ended - when > LEAST_S]
    print(name, f"expected {expected:.1f} s, took {ended - started:.1f} s; told {len(ratios)} times", flush=True)
    found = {f"{name}.seconds": ended - started, f"{name}.plan": expected / (ended - started)}
    if ratios:
        found[f"{name}.worst"] = max(ratios, key=far)
        found[f"{name}.within_2"] = sum(far(ratio) <= 2 for ratio in ratios) / len(ratios)
    return found


def far(ratio: float) -> float:
    """How far from the truth, above or below it."""
    return max(ratio, 1 / max(ratio, 1e-9))


if __name__ == "__main__":
    main()
