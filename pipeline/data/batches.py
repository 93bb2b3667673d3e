"""Batches from arrays that stay where they fit: on the device as stored, else memory-mapped and fetched ahead."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data.dataset import Split, Stored
from pipeline.data.memory import SHARE_OF_MEMORY, free_bytes
from pipeline.kinds.inputs import Cast, is_cast_once
from pipeline.kinds.ragged import Ragged, Rows, gathered

T = TypeVar("T")
COPY_ROWS, CAST_ROWS = 65536, 4096
MOST_VALUES = 2**22
"""Of ragged rows judged at once, once they are filled up: 16 MB of float32."""


class Inputs:
    """V arrays of N rows each addressed as one of V * N: row v * N + i is array v's i-th.

    Ragged rows may have other lengths in each array.
    """

    def __init__(self, arrays: Sequence[Stored], device: torch.device, *, resident: bool | None = None) -> None:
        self.device, self.arrays, self.num = device, arrays, len(arrays[0])
        size = sum(array.nbytes for array in arrays)
        self.resident = size <= SHARE_OF_MEMORY * free_bytes(device.type) if resident is None else resident
        self._values = self._loaded() if self.resident else None
        self._starts: NDArray[np.int64] | None = None
        self._lengths: NDArray[np.int64] | None = None
        """Of ragged rows where each begins among the items of all arrays, and how many it has: asked for on the host."""
        if arrays[0].offsets is not None:
            firsts = np.cumsum([0, *(len(array.values) for array in arrays)])
            starts = [np.asarray(array.offsets)[:-1] + first for array, first in zip(arrays, firsts, strict=False)]
            self._starts, self._lengths = np.concatenate(starts), np.concatenate([array.lengths for array in arrays])

    def _loaded(self) -> Tensor:
        like = torch.from_numpy(np.array(self.arrays[0].values[:0]))
        num = sum(len(array.values) for array in self.arrays)
        values, first = torch.empty((num, *like.shape[1:]), dtype=like.dtype, device=self.device), 0
        for array in self.arrays:
            for at in range(0, len(array.values), COPY_ROWS):
                part = torch.from_numpy(np.array(array.values[at : at + COPY_ROWS]))
                values[first + at : first + at + len(part)] = part
            first += len(array.values)
        return values

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Rows (B,) as stored, on the device."""
        if self._values is None:
            return self._fetched(rows)
        if self._starts is None or self._lengths is None:
            return self._values.index_select(0, torch.from_numpy(rows).to(self.device))
        starts, lengths = (torch.from_numpy(each[rows]) for each in (self._starts, self._lengths))
        return gathered(self._values, starts, lengths)

    def _fetched(self, rows: NDArray[np.int64]) -> Rows:
        array, row = rows // self.num, rows % self.num
        if self._lengths is None:
            found = np.empty((len(rows), *self.arrays[0].values.shape[1:]), dtype=self.arrays[0].values.dtype)
            for v in np.unique(array):
                found[array == v] = self.arrays[v].values[row[array == v]]
            return torch.from_numpy(found).to(self.device, non_blocking=True)
        each = [self._row(v, i) for v, i in zip(array.tolist(), row.tolist(), strict=True)]
        items = torch.from_numpy(np.concatenate(each)).to(self.device, non_blocking=True)
        return Ragged(items, torch.from_numpy(self._lengths[rows]))

    def _row(self, v: int, i: int) -> NDArray[Any]:
        array = self.arrays[v]
        assert array.offsets is not None
        return array.values[array.offsets[i] : array.offsets[i + 1]]


@dataclass(frozen=True)
class Source:
    """Rows, and how they become what a network takes."""

    inputs: Inputs
    cast: Cast


def source_of(arrays: Sequence[Stored], kind: str, cast: Cast, device: torch.device) -> Source:
    """Rows as they are stored and the kind's cast or, where that is dear and there is memory for it, rows that were cast."""
    if is_cast_once(kind) and (kept := _cast(arrays, cast, int(SHARE_OF_MEMORY * free_bytes("cpu")))):
        return Source(Inputs(kept, device), lambda rows: rows)
    return Source(Inputs(arrays, device), cast)


def _cast(arrays: Sequence[Stored], cast: Cast, most_bytes: int) -> list[Stored] | None:
    """All rows as ragged inputs; None where they need more memory."""
    found, size = [], 0
    for array in arrays:
        stored, parts = Inputs([array], torch.device("cpu"), resident=False), list[Ragged]()
        for at in range(0, len(array), CAST_ROWS):
            made = cast(stored.take(np.arange(at, min(at + CAST_ROWS, len(array)))))
            assert isinstance(made, Ragged), "what is cast once is ragged"
            parts.append(Ragged(made.items.cpu(), made.lengths))
            size += made.items.nbytes
            if size > most_bytes:
                return None
        lengths = torch.cat([part.lengths for part in parts])
        found.append(Stored(torch.cat([part.items for part in parts]).numpy(), np.r_[0, np.cumsum(lengths.numpy())]))
    return found


@dataclass(frozen=True)
class Judged:
    """A few samples, with all of their rows."""

    samples: NDArray[np.int64]
    """Positions in their split."""
    rows: NDArray[np.int64]
    """Positions among the stored rows, one sample after the other."""
    num_rows: NDArray[np.int64] | None
    """How many rows each sample owns; None: one."""


def judged_batches(split: Split, most_rows: int) -> list[Judged]:
    """All samples of a split, each with all of its rows, in batches whose order the split alone decides.

    A batch has at most so many rows, or one sample's. Ragged rows stand beside rows of like lengths, so that little is filled
    up, and in a batch are no more values than in `MOST_VALUES`.
    """
    if split.rows is None and split.offsets is None:
        parts = np.split(np.arange(len(split)), range(most_rows, len(split), most_rows))
        return [Judged(own, own, None) for own in parts if len(own)]
    longest = _longest(split)
    order = np.argsort(longest, kind="stable")
    values = math.prod(split.inputs.shape[1:]) * longest if split.offsets is not None else np.zeros_like(longest)
    ends = _ends(split.num_rows[order], values[order], most_rows)
    parts = [order[a:b] for a, b in pairwise([0, *ends])]
    return [Judged(own, split.rows_of(own), None if split.rows is None else split.num_rows[own]) for own in parts]


def _longest(split: Split) -> NDArray[np.int64]:
    """(N,) the items of each sample's longest row."""
    return np.maximum.reduceat(split.stored.lengths, split.first_rows) if len(split) else np.zeros(0, np.int64)


def _ends(num_rows: NDArray[np.int64], values: NDArray[np.int64], most_rows: int) -> list[int]:
    """Where batches of samples end. values: of a row of each sample once it is filled up, in ascending order."""
    found, rows = [], 0
    for i, (num, size) in enumerate(zip(num_rows.tolist(), values.tolist(), strict=True)):
        if rows and (rows + num > most_rows or (rows + num) * size > MOST_VALUES):
            found.append(i)
            rows = 0
        rows += num
    return [*found, len(num_rows)] if len(num_rows) else []


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
