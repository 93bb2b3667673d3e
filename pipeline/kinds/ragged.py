"""Rows of different lengths as tensors: one after the other as they are stored, filled up only where a network takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

LONG = 400
"""Items of a row; 64 rows of 16,000 took 2.4 ms by an index and 0.1 ms one by one, of 20 items 0.02 and 0.07 ms (one core)."""


@dataclass(frozen=True)
class Ragged:
    """R rows, one after the other. What a kind makes of them (views, inputs) may have other lengths, of each row by itself."""

    items: Tensor
    """(n, *shape) the items of all rows, on the device."""
    lengths: Tensor
    """(R,) int64, how many are each row's; on the CPU, where sizes are asked for, so that nobody waits for a GPU."""

    @classmethod
    def of(cls, rows: Sequence[Tensor]) -> Ragged:
        """Rows (n_i, *shape) of one type, at least one."""
        return cls(torch.cat(list(rows)), torch.tensor([len(row) for row in rows], dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def ends(self) -> Tensor:
        """(R,) where each row's items end."""
        return self.lengths.cumsum(0)

    def part(self, first: int, last: int) -> Ragged:
        """Rows [first, last), whose items are not copied."""
        start = int(self.ends[first - 1]) if first else 0
        end = int(self.ends[last - 1]) if last else 0
        return Ragged(self.items[start:end], self.lengths[first:last])

    def rows(self) -> list[Tensor]:
        """Each row's items (n_i, *shape)."""
        return list(self.items.split_with_sizes(self.lengths.tolist()))

    def with_items(self, items: Tensor) -> Ragged:
        """Rows of the same lengths with other items."""
        return replace(self, items=items)

    def padded(self) -> tuple[Tensor, Tensor]:
        """(R, longest, *shape), zero beyond each row's end, and the lengths (R,) int64 on the same device."""
        items, longest = self.items, int(self.lengths.max())
        if copied_by_row(items, self.lengths):
            return pad_sequence(self.rows(), batch_first=True), self.lengths
        filled = items.new_zeros(len(self) * longest, *items.shape[1:])
        filled.index_copy_(0, places(longest * torch.arange(len(self)), self.lengths, items.device), items)
        return filled.view(len(self), longest, *items.shape[1:]), self.lengths.to(items.device)


Rows = Tensor | Ragged
"""A batch of rows: (R, *shape) of one shape, or of different lengths."""


def gathered(items: Tensor, starts: Tensor, lengths: Tensor) -> Ragged:
    """Rows that begin at `starts` (R,) among all items there are, and have so many each."""
    if copied_by_row(items, lengths):
        spans = zip(starts.tolist(), lengths.tolist(), strict=True)
        return Ragged(torch.cat([items[at : at + num] for at, num in spans]), lengths)
    return Ragged(items.index_select(0, places(starts, lengths, items.device)), lengths)


def copied_by_row(items: Tensor, lengths: Tensor) -> bool:
    """Whether rows are so long that copying one after the other takes less time than an index of all items."""
    return items.device.type == "cpu" and int(lengths.sum()) > LONG * len(lengths)


def places(starts: Tensor, lengths: Tensor, device: torch.device) -> Tensor:
    """Places (n,) on a device of the items of rows that begin at `starts` (R,) and have so many each, row after row."""
    ends = lengths.cumsum(0)
    shifts = (starts - (ends - lengths)).to(device)
    num = int(ends[-1]) if len(ends) else 0
    return torch.arange(num, device=device) + torch.repeat_interleave(shifts, lengths.to(device), output_size=num)


def part(rows: Rows, first: int, last: int) -> Rows:
    """Rows [first, last)."""
    return rows.part(first, last) if isinstance(rows, Ragged) else rows[first:last]
