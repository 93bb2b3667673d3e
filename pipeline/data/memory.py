"""How much memory there is to be had."""

from __future__ import annotations

from pathlib import Path

import psutil

SHARE_OF_MEMORY = 0.5
"""Of the free memory of the device that resident inputs, or runs side by side, may take."""


def free_bytes(device: str) -> int:
    """Memory of a kind of device that can be had, in bytes; in a container that of its group, if that is less."""
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    free = int(psutil.virtual_memory().available)
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and (most := limit.read_text().strip()).isdigit():
        free = min(free, int(most) - int(used.read_text()))
    return max(free, 0)


def lacks_memory(error: Exception) -> bool:
    """Whether torch, Python or the system could not get memory."""
    said = str(error).lower()
    words = ("out of memory", "can't allocate memory", "cannot allocate memory")
    return isinstance(error, MemoryError) or any(one in said for one in words)
