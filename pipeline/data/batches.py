"""Batches from arrays that stay where they fit: on the device as stored, else memory-mapped and fetched ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data.memory import SHARE_OF_MEMORY, free_bytes

T = TypeVar("T")
COPY_ROWS = 65536


class Inputs:
    """V arrays (N, *shape) addressed as one of V * N rows: row v * N + i is array v's i-th."""

    def __init__(self, arrays: Sequence[NDArray[Any]], device: torch.device, *, resident: bool | None = None) -> None:
        self.device, self.arrays, self.num = device, arrays, len(arrays[0])
        size = sum(array.nbytes for array in arrays)
        self.resident = size <= SHARE_OF_MEMORY * free_bytes(device.type) if resident is None else resident
        self._rows = self._loaded() if self.resident else None

    def _loaded(self) -> Tensor:
        like = torch.from_numpy(np.array(self.arrays[0][:0]))
        rows = torch.empty((len(self.arrays) * self.num, *like.shape[1:]), dtype=like.dtype, device=self.device)
        for v, array in enumerate(self.arrays):
            for first in range(0, self.num, COPY_ROWS):
                part = torch.from_numpy(np.array(array[first : first + COPY_ROWS]))
                rows[v * self.num + first : v * self.num + first + len(part)] = part
        return rows

    def take(self, rows: NDArray[np.int64]) -> Tensor:
        """Rows (B,) as stored, (B, *shape) on the device."""
        if self._rows is not None:
            return self._rows.index_select(0, torch.from_numpy(rows).to(self.device))
        found = np.empty((len(rows), *self.arrays[0].shape[1:]), dtype=self.arrays[0].dtype)
        array, row = rows // self.num, rows % self.num
        for v in np.unique(array):
            found[array == v] = self.arrays[v][row[array == v]]
        return torch.from_numpy(found).to(self.device, non_blocking=True)


def fetched_ahead(fetch: Callable[[range], T], parts: Sequence[range]) -> Iterator[T]:
    """fetch(part) for each part, the next one already running in a thread."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = [pool.submit(fetch, part) for part in parts[:1]]
        for following in [*parts[1:], None]:
            current = waiting.pop().result() if waiting else None
            if following is not None:
                waiting.append(pool.submit(fetch, following))
            if current is not None:
                yield current
