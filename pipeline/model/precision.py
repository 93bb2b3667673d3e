"""In which precision products are computed where the configuration leaves it open. Imports no torch before it must."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pipeline.model.net import FULL
from pipeline.model.specs import MODULE

CPU_INFO = Path("/proc/cpuinfo")
CPU_FLAGS = {"avx512_bf16", "amx_bf16"}
"""Of processors that multiply in bfloat16; others emulate it, and are slower for it."""


def precision_taken(asked: str, arch: str, device: str) -> str:
    """auto is bf16-mixed for a torch module where the device (cpu, cuda) computes in bfloat16, and 32-true elsewhere."""
    if asked != "auto":
        return asked
    return "bf16-mixed" if arch == MODULE and has_bfloat16(device) else FULL


@cache
def has_bfloat16(device: str) -> bool:
    """Whether a device computes in bfloat16 by itself; of CUDA that is not here: yes, as all have since 2020."""
    if device == "cpu":
        return CPU_INFO.exists() and bool(CPU_FLAGS & set(CPU_INFO.read_text(encoding="utf-8").split()))
    import torch

    return not torch.cuda.is_available() or torch.cuda.is_bf16_supported(including_emulation=False)
