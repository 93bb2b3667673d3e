"""`model.compile`: a module compiled by torch where a compiler is there."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable

import torch
from torch import nn

from pipeline.errors import ConfigError

COMPILERS = ("g++", "clang++")


def compiled(module: nn.Module, device: torch.device, *, ragged: bool) -> Callable[..., object]:
    """The module's forward in training, of ragged inputs once for all lengths; ConfigError where this machine has no compiler
    for the device."""
    if device.type == "cpu" and not any(map(shutil.which, COMPILERS)):
        raise ConfigError(
            f"model.compile = true: torch compiles for a CPU with {' or '.join(COMPILERS)}, and none is here; install one "
            "(Debian: apt-get install g++), or say model.compile=false"
        )
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise ConfigError(
            "model.compile = true: torch compiles for CUDA with triton, which is not here; say model.compile=false"
        )
    found: Callable[..., object] = torch.compile(module, dynamic=ragged)
    return found
