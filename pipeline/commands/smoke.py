"""`regatta run --smoke`: every stage on a handful of samples in `runs/smoke/`, in one process, leaving all else alone."""

from __future__ import annotations

import importlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.artifacts import STAGES, make_dir, runs_root
from pipeline.commands.checks import check
from pipeline.commands.compose import Change, given_paths
from pipeline.commands.root import ROOT, seen_from
from pipeline.commands.run import check_data
from pipeline.config import CONF, Values, write_params
from pipeline.schema.prepare import FEWEST_FOLDS

NUM_SEEDS = 2
"""Of every study: the least that a spread needs."""


def smoke(new: Change, stood: Path = ROOT) -> None:
    """Run the stages one after the other; an error ends with the stage's exit code."""
    for line in new.recognised:
        print(line, flush=True)
    targets = new.targets
    check_data(new.values, to_come=targets)
    values = tiny(new.values)
    check(values)
    folder = runs_root() / "smoke"
    shutil.rmtree(folder, ignore_errors=True)
    make_dir(folder)
    for path in {CONF, *given_paths(values).values(), *_backbone(values)}:
        make_dir((folder / path).parent)
        (folder / path).symlink_to(targets.get(path, path.absolute()))
    with working_in(folder):
        write_params(values)
        for stage in STAGES:
            started = time.perf_counter()
            run_stage(stage, values)
            print(f"smoke: {stage} took {time.perf_counter() - started:.1f} s", flush=True)
    print(f"smoke: every stage ran; what they wrote is in {seen_from(stood, folder)}", flush=True)


def _backbone(values: Values) -> list[Path]:
    """Where a pretrained network lies, if there is one."""
    model = values["model"]
    return [Path(model["backbone_path"])] if model["backbone"] else []


def tiny(values: Values) -> Values:
    """The configuration with the numbers of `conf/preset/smoke.yaml` where they are smaller, and small studies."""
    from omegaconf import OmegaConf

    preset: Any = OmegaConf.to_container(OmegaConf.load(CONF / "preset" / "smoke.yaml"))
    caps = {
        name: {"seeds": NUM_SEEDS} | ({"folds": FEWEST_FOLDS} if own.get("folds") else {})
        for name, own in values["study"]["definitions"].items()
    }
    return smaller(values, {**preset, "study": {"definitions": caps}})


def smaller(values: Mapping[str, Any], caps: Mapping[str, Any]) -> Values:
    """Values with every number capped; what is not a number is replaced, and so is null."""
    capped = dict(values)
    for key, cap in caps.items():
        old = values.get(key)
        if isinstance(cap, Mapping) and isinstance(old, Mapping):
            capped[key] = smaller(old, cap)
        else:
            capped[key] = min(old, cap) if isinstance(old, int | float) and isinstance(cap, int | float) else cap
    return capped


def run_stage(stage: str, values: Values) -> None:
    """Call a stage's function; the study stage once per study."""
    module = importlib.import_module(f"pipeline.stages.{stage}")
    if stage == "study":
        for name in values["study"]["definitions"]:
            module.run(name)
    else:
        module.run()


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Another current directory, whose records are its own."""
    before, runs = Path.cwd(), os.environ.pop("REGATTA_RUNS", None)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        if runs is not None:
            os.environ["REGATTA_RUNS"] = runs
