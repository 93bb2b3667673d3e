"""What a state keeps of networks: all but the blocks that are never trained, which whoever goes on has from where they came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.model.net import Layout

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Kept:
    """Columns of networks of one layout."""

    layout: Layout
    constant: Mapping[str, NDArray[np.float32]]
    """Tensors that have these values to the end, which are not kept."""

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """First and last column of what is kept, in order: neighbours are one."""
        found, at = list[tuple[int, int]](), 0
        for slot in self.layout.slots:
            last = at + slot.num_columns
            if slot.name not in self.constant:
                before = found.pop() if found and found[-1][1] == at else (at, at)
                found.append((before[0], last))
            at = last
        return found

    def part(self, flat: Tensor) -> Tensor:
        """Of (K, columns), or of the first of them, those that are kept."""
        import torch

        return torch.cat(self._parts(flat), dim=1) if self._is_cut(flat) else flat

    def put(self, part: Tensor, flat: Tensor) -> None:
        """Such a part to its columns."""
        if not self._is_cut(flat):
            flat.copy_(part)
            return
        places = self._parts(flat)
        for place, own in zip(places, part.split_with_sizes([place.shape[1] for place in places], dim=1), strict=True):
            place.copy_(own)

    def tensors(self, part: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """All of one network's tensors by name, out of what a state keeps of its row (columns,)."""
        row, at = np.zeros(self.layout.num_columns, np.float32), 0
        for first, last in self.spans:
            row[first:last] = part[at : at + last - first]
            at += last - first
        return {name: self.constant.get(name, values) for name, values in self.layout.named(row).items()}

    def _is_cut(self, flat: Tensor) -> bool:
        return bool(self.constant) and flat.ndim == 2

    def _parts(self, flat: Tensor) -> list[Tensor]:
        most = flat.shape[1]
        return [flat[:, first : min(last, most)] for first, last in self.spans if first < most]
