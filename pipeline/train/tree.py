"""Gradients summed in one fixed binary tree over the shards of a batch, by one process or by several.

Floating-point sums depend on their order; here the order depends on the number of shards alone. Worker r of W owns an
equal run of the shards, sums its own subtree, and all workers finish the tree from the gathered partial sums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.distributed as dist
from torch import Tensor


def shard_bounds(num_rows: int, num_shards: int) -> list[tuple[int, int]]:
    """Rows [first, last) of each shard of a batch; sizes differ by at most one."""
    ends = [num_rows * j // num_shards for j in range(num_shards + 1)]
    return list(pairwise(ends))


def tree_sum(leaf: Callable[[int], Tensor], first: int, last: int) -> Tensor:
    """The sum of leaf(first) ... leaf(last - 1), adding halves to halves; last - first is a power of two."""
    if last - first == 1:
        return leaf(first)
    middle = (first + last) // 2
    left = tree_sum(leaf, first, middle)
    return left.add_(tree_sum(leaf, middle, last))


@dataclass(frozen=True)
class Team:
    """The workers that share each batch: this one is `rank` of `size` in torch's default process group."""

    rank: int = 0
    size: int = 1

    def own_shards(self, num_shards: int) -> tuple[int, int]:
        """Shards [first, last) of this worker; num_shards is a multiple of size, both powers of two."""
        each = num_shards // self.size
        return self.rank * each, (self.rank + 1) * each

    def finish(self, partial: Tensor) -> Tensor:
        """The whole sum, from each worker's own: the same bits on every worker."""
        if self.size == 1:
            return partial
        parts = [torch.empty_like(partial) for _ in range(self.size)]
        dist.all_gather(parts, partial)
        return tree_sum(parts.__getitem__, 0, self.size)

    def merged(self, own: Tensor) -> Tensor:
        """The sum of tensors of which, at each place, all workers but one hold zero: exact in any order."""
        if self.size == 1:
            return own
        whole = own.clone()
        dist.all_reduce(whole)
        return whole
