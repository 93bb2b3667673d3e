"""Gradients summed in one fixed binary tree over the shards of a batch, by one process or by several.

Floating-point sums depend on their order; here the order depends on the number of shards alone. Worker r of W owns an
almost equal run of the shards and sums the largest subtrees that lie in it; the tree is finished from these parts, by all
workers or, where they share memory, each for a range of columns. `reduce="fast"` gives that up: each worker's share of the
batch is summed by itself, and the shares are added.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from pipeline.data.memory import lacks_memory
from pipeline.errors import RegattaError

Span = tuple[int, int]
"""Shards [first, last)."""
UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)
PEER_WORDS = (
    "connection reset", "connection closed", "connection refused", "broken pipe", "timed out", "timeout", "socket closed",
    "no route to host", "unreachable",  # gloo: transport/tcp/pair.cc, unbound_buffer.cc
    "remote process exited", "ncclremoteerror", "communicator was aborted",  # NCCL
)  # fmt: skip
"""In small letters, what torch's backends say of a worker that has gone or is silent."""


class PeerLost(RegattaError):  # noqa: N818 - not the user's error: another worker has gone
    """A worker of the team does not answer: it was killed, is frozen, or the network is cut."""


def shard_bounds(num_rows: int, num_shards: int) -> list[Span]:
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


def subtrees(first: int, last: int) -> list[Span]:
    """The largest subtrees of the binary tree over all shards that together are [first, last), in order."""
    found = []
    while first < last:
        size = first & -first or 1 << (last - first).bit_length()
        while size > last - first:
            size //= 2
        found.append((first, first + size))
        first += size
    return found


def finished(parts: Mapping[Span, Tensor], first: int, last: int, out: Tensor | None = None) -> Tensor:
    """The sum over [first, last) from the sums of its subtrees, in the order of `tree_sum`. Changes the parts.

    out: a place for it, where there is more than one part.
    """
    if (first, last) in parts:
        return parts[first, last]
    middle = (first + last) // 2
    left, right = finished(parts, first, middle), finished(parts, middle, last)
    return torch.add(left, right, out=left if out is None else out)


class Neighbours(Protocol):
    """How workers of one machine reach each other past the network (distributed/neighbours.py)."""

    @property
    def place(self) -> Tensor:
        """(1, columns): where this worker's part of a sum is best computed."""

    def summed(self, own: list[Tensor], spans: list[list[Span]], num_shards: int) -> Tensor:
        """The tree's sum (1, columns), to be read only, from every worker's parts; this one's are `own`."""

    def true_anywhere(self, own: bool) -> bool:
        """Whether it is true on any worker."""

    def merged(self, own: Tensor) -> Tensor:
        """The sum of all workers' tensors."""

    def told(self, words: Tensor) -> Tensor:
        """The first worker's tensor."""


@dataclass(frozen=True)
class Team:
    """The workers that share each batch: this one is `rank` of `size`, in torch's default process group unless neighbours."""

    rank: int = 0
    size: int = 1
    reduce: str = "exact"
    neighbours: Neighbours | None = None
    """Where all of them are on one machine."""

    def num_shards(self, asked: int) -> int:
        """Shards of a batch: those asked for; under "fast" so many of each worker's share."""
        return asked if self.reduce == "exact" else asked * self.size

    def own_shards(self, num_shards: int, rank: int | None = None) -> Span:
        """Shards [first, last) of a worker, this one unless said otherwise; their numbers differ by at most one."""
        rank = self.rank if rank is None else rank
        return num_shards * rank // self.size, num_shards * (rank + 1) // self.size

    def spans(self, num_shards: int) -> list[list[Span]]:
        """The subtrees that each worker sums."""
        owned = [self.own_shards(num_shards, rank) for rank in range(self.size)]
        return [subtrees(*own) for own in owned]

    def total(self, leaf: Callable[[int], Tensor], num_shards: int) -> Tensor:
        """The sum over all shards of leaf(shard), each computed by its owner: one for all workers, to be read only."""
        spans = self.spans(num_shards)
        own = [tree_sum(leaf, *span) for span in spans[self.rank]]
        if self.size == 1:
            return own[0]
        if self.neighbours:
            shares = [[(rank, rank + 1)] for rank in range(self.size)]  # in the order of the workers, of any number
            return self.neighbours.summed(own, *((spans, num_shards) if self.reduce == "exact" else (shares, self.size)))
        if self.reduce == "fast":
            with lost_peers():
                dist.all_reduce(own[0])
            return own[0]
        gathered = self._gathered(own, max(map(len, spans)))
        parts = {span: gathered[rank, i] for rank, own in enumerate(spans) for i, span in enumerate(own)}
        return finished(parts, 0, num_shards)

    def _gathered(self, own: list[Tensor], most: int) -> Tensor:
        """Every worker's partial sums (size, most, *shape); those with fewer than `most` are filled up."""
        mine = own[0].unsqueeze(0) if most == 1 else torch.stack([*own, *[own[0]] * (most - len(own))])
        found = mine.new_empty((self.size, *mine.shape))
        with lost_peers():
            dist.all_gather(list(found.unbind(0)), mine)
        return found

    def merged(self, own: Tensor) -> Tensor:
        """The sum of tensors of which, at each place, all workers but one hold zero: exact in any order."""
        if self.size == 1:
            return own
        if self.neighbours:
            return self.neighbours.merged(own)
        whole = own.clone()
        with lost_peers():
            dist.all_reduce(whole)
        return whole

    def agreed(self, true: bool, device: torch.device) -> bool:
        """Whether it is true on every worker."""
        if self.neighbours:
            return not self.neighbours.true_anywhere(not true)
        return true if self.size == 1 else not bool(self.merged(torch.tensor(float(not true), device=device)))

    def told(self, words: list[int], device: torch.device) -> list[int]:
        """The first worker's whole numbers, on every worker."""
        if self.size == 1:
            return words
        tensor = torch.tensor(words, dtype=torch.int64, device=device)
        if self.neighbours:
            tensor = self.neighbours.told(tensor)
        else:
            with lost_peers():
                dist.broadcast(tensor, src=0)
        found: list[int] = tensor.tolist()
        return found


@contextmanager
def lost_peers() -> Iterator[None]:
    """Turn the error of a broken or silent connection, torch's or the system's, into one that says so.

    Whatever else goes wrong in an exchange, a lack of memory above all, is no loss and would go wrong again.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if lacks_memory(error) or not tells_of_a_peer(error):
            raise
        raise PeerLost(f"another worker has gone or is silent ({' '.join(str(error).split())[:200]})") from error


def tells_of_a_peer(error: OSError | RuntimeError) -> bool:
    """Whether an error is that of a connection. gloo and NCCL give theirs no type of its own, so their words are read."""
    if isinstance(error, OSError):
        return isinstance(error, ConnectionError | TimeoutError | BlockingIOError) or error.errno in UNREACHABLE
    if isinstance(error, dist.DistNetworkError | dist.DistStoreError):
        return True
    text = str(error).lower()
    return any(words in text for words in PEER_WORDS)
