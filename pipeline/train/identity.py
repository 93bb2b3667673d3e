"""What a run is: the hash of all that its result depends on, and the facts of the machine that are recorded beside it."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import keyed
from pipeline.artifacts import digest
from pipeline.closure import code_digest
from pipeline.errors import ConfigError
from pipeline.schema.model import ModelConfig
from pipeline.schema.train import TrainConfig

if TYPE_CHECKING:
    import torch

NOT_IDENTITY = ("device", "threads", "save_every_s")
"""Keys of `train` that are not part of a run: the device type is counted by itself, threads may change the last bits."""
CODE = "pipeline/train/fit.py"
"""What a run's code digest covers: this file's imports."""


@dataclass(frozen=True)
class Identity:
    """The hashes of a run. Two runs of one `run` hash have the same weights on one machine."""

    config: str
    dataset: str
    views: str
    code: str
    run: str
    without_code: str
    """Finds a run of this configuration and data under other code."""
    without_epochs: str
    """Finds a shorter run of this configuration."""


def identity(model: ModelConfig, train: TrainConfig, dataset: str, views: str, device: str, reduce: str = "exact") -> Identity:
    """The identity of a run on prepared data (its digest) and augmented copies (theirs).

    reduce: how the gradients of several workers are summed; "exact" gives what one worker gives, so it counts as that.
    """
    keys: dict[str, Any] = {"model": model.model_dump(), "train": _identity_keys(train)}
    rest = {"dataset": dataset, "views": views, "torch": version("torch"), "device": device, "contract": keyed.CONTRACT}
    rest |= {} if reduce == "exact" else {"reduce": reduce}
    code = code_digest(CODE)
    # The warm-up that is taken: a run too short for all of it is not the beginning of a longer one.
    length = {"epochs": None, "warmup_epochs": train.warmup_taken}
    shorter = {**keys, "train": {**keys["train"], **length}}
    return Identity(
        config=digest(keys),
        dataset=dataset,
        views=views,
        code=code,
        run=digest([keys, rest, code]),
        without_code=digest([keys, rest]),
        without_epochs=digest([shorter, rest, code]),
    )


def _identity_keys(train: TrainConfig) -> dict[str, Any]:
    return {name: value for name, value in train.model_dump().items() if name not in NOT_IDENTITY}


def device_type(name: str) -> str:
    """cpu or cuda. auto: CUDA where there is one; cuda where there is none is an error, not a slow run."""
    if name == "cpu" or (name == "auto" and version("torch").endswith("+cpu")):
        return "cpu"
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "train.device = 'cuda': no CUDA device is visible here; choose cpu or auto, or install a CUDA build of torch"
        )
    return "cuda" if torch.cuda.is_available() else "cpu"


def build_device(name: str) -> str:
    """cpu or cuda for workers elsewhere, whose torch is of the same build as this one's: auto means CUDA for a CUDA build."""
    return "cpu" if name == "cpu" or (name == "auto" and version("torch").endswith("+cpu")) else "cuda"


def chosen_device(name: str) -> torch.device:
    """The device of `device_type`, set to deterministic algorithms."""
    import torch

    device = torch.device(device_type(name))
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = True, False, False
    return device


def versions() -> dict[str, str]:
    """Versions that a result may depend on."""
    found = {name: version(name) for name in ("torch", "pytorch-lightning", "kornia", "numpy", "dvc", "wandb")}
    return {"python": platform.python_version(), **found}


def commit() -> str | None:
    """The commit of the project, with + for uncommitted changes; None outside of Git."""
    head = _git("rev-parse", "HEAD")
    return head and head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"LC_ALL": "C"},  # its words are looked at
        )
    except FileNotFoundError:
        return None
    if "dubious ownership" in done.stderr:
        print(
            "Git refuses this folder, since it belongs to another user, so no commit is recorded; "
            f"mend it with: git config --global --add safe.directory {Path.cwd()}",
            flush=True,
        )
    return done.stdout.strip() if done.returncode == 0 else None
