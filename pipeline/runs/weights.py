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
from pipeline.runs.find import run_named

KEY = "model.init_from"


@dataclass(frozen=True)
class Source:
    """A finished run's best weights, and what they were trained on (`model.json`)."""

    run: str
    digest: str
    described: Mapping[str, Any]
    tensors: Mapping[str, NDArray[np.float32]]


def run_to_start_from(run: str) -> str:
    """The whole name of a finished run, by that or by the beginning of it; ConfigError where there is none to start from."""
    for name in ("model.json", "best.safetensors"):
        path = _file(run, name)
    return path.parent.name


def best_digest(run: str) -> str:
    """Of the best weights that a run of this name has; ConfigError where there are none."""
    return artifacts.file_digest(_file(run, "best.safetensors"))


def source_named(run: str) -> Source:
    """ConfigError where there is no such run or it is not finished; StorageError where its files are not whole."""
    weights, described = _file(run, "best.safetensors"), artifacts.read_json(_file(run, "model.json"))
    digest = artifacts.file_digest(weights)
    if digest != described["weights_sha256"]:
        raise StorageError(f"{weights}: is not what model.json beside it was written for; restore it, or choose another run")
    return Source(weights.parent.name, digest, described, artifacts.load_tensors(weights)[0])


def _file(run: str, name: str) -> Path:
    try:
        folder = run_named(run)
    except ConfigError as error:
        raise ConfigError(f"{KEY} = {error}; `regatta run '~{KEY}' '~model.freeze'` starts from nothing") from None
    if not (path := folder.path / name).exists():
        state = folder.read().get("state")
        why = f"it is {state}" if state != "finished" else f"it has no {name}, which an older version did not keep"
        raise ConfigError(
            f"{KEY} = {run}: {why}; say `regatta run` once more with that run's own keys, which are in "
            f"{folder.path}/overrides.yaml, or choose another run"
        )
    return path
