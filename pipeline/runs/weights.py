"""The best weights of a finished run, as another run may start from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import artifacts
from pipeline.errors import ConfigError, StorageError
from pipeline.runs.find import all_runs, run_named
from pipeline.wording import first_of

KEY = "model.init_from"
DESCRIBED, BEST = "model.json", "best.safetensors"
SHAPING = ("arch", "name", "keys", "channels", "widths", "norm")
"""Keys of a model that decide its tensors."""


@dataclass(frozen=True)
class Source:
    """A finished run's best weights, and what they were trained on (`model.json`)."""

    run: str
    digest: str
    described: Mapping[str, Any]
    tensors: Mapping[str, NDArray[np.float32]]


def run_to_start_from(run: str, key: str = KEY, word: str | None = None) -> str:
    """The whole name of a finished run, by that or by the beginning of it; ConfigError where there is none to start from.

    key, word: who names it now, and in which word if not by this name.
    """
    try:
        folder = run_named(run)
    except ConfigError as error:
        others = _others() if key == KEY else ""
        raise ConfigError(f"{key} = {word or run}{str(error).removeprefix(run)}{others}") from None
    for name in (DESCRIBED, BEST):
        _file(folder.id, name, key)
    return folder.id


def _others() -> str:
    """What may be said in place of a run that is none, the newest first."""
    every = [folder for folder, run in all_runs() if run.get("state") == "finished" and (folder.path / BEST).exists()]
    found = [folder.id for folder in every if not _is_head(folder.path / DESCRIBED)][::-1]
    return f"; choose one, such as {first_of(found, 3)}, or leave it out" if found else "; there is none, leave it out"


def _is_head(described: Path) -> bool:
    """Whether a run's `model.json` is of a head over features, or not there: nothing can start from that."""
    try:
        there = artifacts.read_json(described)
    except StorageError:
        return True
    return there.get("backbone") is not None and there["backbone"].get("plan") is None


def best_digest(run: str) -> str:
    """Of the best weights that a run of this name has; ConfigError where there are none."""
    return artifacts.file_digest(_file(run, BEST))


def source_named(run: str) -> Source:
    """ConfigError where there is no such run or it is not finished; StorageError where its files are not whole."""
    weights, described = _file(run, BEST), artifacts.read_json(_file(run, DESCRIBED))
    digest = artifacts.file_digest(weights)
    if digest != described["weights_sha256"]:
        raise StorageError(f"{weights}: is not what model.json beside it was written for; restore it, or choose another run")
    return Source(weights.parent.name, digest, described, artifacts.load_tensors(weights)[0])


def runs_of_other_data(model: Mapping[str, Any], kind: str) -> list[str]:
    """Finished runs of the same network on other data of the kind than what is prepared, the newest first."""
    prepared = artifacts.stage_dir("prepare") / "dataset.json"
    here = artifacts.read_json(prepared)["digest"] if prepared.exists() else None
    found = [
        folder.id
        for folder, run in all_runs()
        if run.get("state") == "finished" and run.get("hashes", {}).get("dataset") != here and (folder.path / BEST).exists()
        and _is_alike(folder.path / DESCRIBED, model, kind)
    ]  # fmt: skip
    return found[::-1]


def _is_alike(described: Path, model: Mapping[str, Any], kind: str) -> bool:
    """Whether a run's `model.json` says so; one that can't be read is named when its run is asked for."""
    try:
        there = artifacts.read_json(described)
    except StorageError:
        return False
    same = all(there.get("model", {}).get(key, ...) == model[key] for key in SHAPING)
    return same and not _is_head(described) and bool(there.get("input", {}).get("kind") == kind)


def _file(run: str, name: str, key: str = KEY) -> Path:
    try:
        folder = run_named(run)
    except ConfigError as error:
        # Values, not ~KEY: they hold wherever the run was named.
        without = f"; `regatta run {KEY}=null model.freeze=0` starts from nothing" if key == KEY else ""
        raise ConfigError(f"{key} = {error}{without}") from None
    if not (path := folder.path / name).exists():
        state = folder.read().get("state")
        why = f"it is {state}" if state != "finished" else f"it has no {name}, which an older version did not keep"
        raise ConfigError(
            f"{key} = {run}: {why}; say `regatta run` once more with that run's own keys, which are in "
            f"{folder.path}/overrides.yaml, or choose another run"
        )
    return path
