"""Which device a training runs on, here or on workers elsewhere. Imports no torch before it must."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    import torch


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
