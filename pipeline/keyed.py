"""Randomness as a pure function of what it belongs to: no global generator, no state, no order of calls.

Every random or remembered thing of a run is decided here, so that it is the same in any batch, on any number of
workers, and after any interruption. The functions are frozen: `tests/test_keyed.py` holds golden vectors, and a change
to any of them must raise `CONTRACT`.

Words are mixed with the finaliser of SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
generators"); the 32-bit mixing of dropout masks follows the multiply-xorshift form of the same family.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

CONTRACT = 1
BLOCK = 8192
"""Samples per block of the epoch order: what one sequential read from disk brings."""

U64 = NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_NAMES = (
    "split", "view", "which-view", "order", "dropout", "init", "storage", "subset", "module", "fold", "mix",
    "window", "row", "sampling", "permuted",
)  # fmt: skip
_STREAMS = {name: i + 1 for i, name in enumerate(_NAMES)}


def _mix(x: U64) -> U64:
    x = (x ^ (x >> np.uint64(30))) * _M1
    x = (x ^ (x >> np.uint64(27))) * _M2
    return x ^ (x >> np.uint64(31))


def words(stream: str, *parts: int | NDArray[Any]) -> U64:
    """Mix integers, or arrays of integers that broadcast, to 64-bit words; one independent stream per use.

    Negative integers wrap to 64 bits. The result has the broadcast shape of `parts`.
    """
    x = np.asarray(_STREAMS[stream], dtype=np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            word = np.asarray(part)
            word = np.asarray(int(part) & 0xFFFFFFFFFFFFFFFF, dtype=np.uint64) if word.ndim == 0 else word.astype(np.uint64)
            x = _mix((x + _GOLDEN) ^ _mix(np.atleast_1d(word) + _GOLDEN))
    return x


def unit(x: U64) -> NDArray[np.float64]:
    """Words to float64 in [0, 1): the upper 53 bits."""
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53


def content_id(content: bytes | memoryview) -> int:
    """The 64-bit number of a sample's raw bytes, before decoding and without the label (BLAKE2b, RFC 7693)."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def sample_ids(contents: U64) -> U64:
    """Sample ids (N,) of content numbers (N,): the n-th exact copy of a content gets its own id; the first keeps the content's.

    Copies are numbered in the order given, so the order must not depend on the machine.
    """
    ids = contents.copy()
    order = np.argsort(contents, kind="stable")
    ranked = contents[order]
    first = np.r_[True, ranked[1:] != ranked[:-1]] if len(ranked) else np.zeros(0, dtype=bool)
    start = np.maximum.accumulate(np.where(first, np.arange(len(ranked)), 0))
    occurrence = np.empty(len(ranked), dtype=np.uint64)
    occurrence[order] = (np.arange(len(ranked)) - start).astype(np.uint64)
    copies = occurrence > 0
    ids[copies] = words("storage", contents[copies], occurrence[copies])
    return ids


def split_position(contents: U64, seed: int = 0) -> NDArray[np.float64]:
    """Where each content lies in [0, 1) for splitting; exact copies share it."""
    return unit(words("split", seed, contents))


def fold_position(contents: U64, seed: int, fold: int = 0) -> NDArray[np.float64]:
    """Where each content lies in [0, 1) for dealing out folds (fold 0), and for what validates in a fold's run (1, 2, ...)."""
    return unit(words("fold", seed, fold, contents))


def storage_order(ids: U64) -> NDArray[np.int64]:
    """The order in which samples are stored: shuffled by id, so that a block of the file is a random sample of the split."""
    return np.lexsort((ids, words("storage", ids))).astype(np.int64)


def view_draws(seed: int, ids: U64, views: NDArray[Any], num: int) -> NDArray[np.float64]:
    """The (B, num) uniform numbers that decide view `views[i]` of sample `ids[i]`."""
    return unit(words("view", seed, ids[:, None], views.astype(np.uint64)[:, None], np.arange(num, dtype=np.uint64)[None, :]))


def which_view(run_seed: int, ids: U64, epoch: int, num_views: int) -> NDArray[np.int64]:
    """The number (N,) of the view that each sample shows in an epoch; `num_views` = 0: drawn views, any of 2**31."""
    drawn = words("which-view", run_seed, epoch, ids) >> np.uint64(33)
    return (drawn % np.uint64(num_views) if num_views else drawn).astype(np.int64)


def which_view_in_turns(run_seed: int, ids: U64, epoch: int, num_views: int) -> NDArray[np.int64]:
    """The same, but views of even and of odd numbers in turns from one epoch to the next; half of the samples begin with odd.

    An even number of views is stored.
    """
    first = words("which-view", run_seed, 2**32, ids) >> np.uint64(63)  # far beyond the epochs
    odd = (first.astype(np.int64) + epoch) % 2
    return which_view(run_seed, ids, epoch, num_views) // 2 * 2 + odd


def which_window(run_seed: int, ids: U64, epoch: int, num_windows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number (N,) of the window by which each sample, which owns `num_windows` (N,), is represented in an epoch."""
    drawn = words("window", run_seed, epoch, ids) >> np.uint64(33)
    return (drawn % num_windows.astype(np.uint64)).astype(np.int64)


def row_ids(ids: U64, windows: NDArray[np.int64]) -> U64:
    """By which window `windows` (N,) of each sample `ids` (N,) draws its views: the first has the sample's own number."""
    return np.where(windows == 0, ids, words("row", ids, windows))


def epoch_order(run_seed: int, epoch: int, num: int) -> NDArray[np.int64]:
    """The order (num,) of an epoch: blocks of `BLOCK` stored samples in random order, shuffled within."""
    index = np.arange(num, dtype=np.uint64)
    block = index // np.uint64(BLOCK)
    within = words("order", run_seed, epoch, 1, index)
    return np.lexsort((within, words("order", run_seed, epoch, 0, block))).astype(np.int64)


def balanced_order(run_seed: int, epoch: int, classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order (N,) of an epoch in which every class that samples (N,) are of comes as often, to within one draw.

    Of each class its samples in a random order, and once all are taken in another one; all draws shuffled. No block is read
    in one go: a rare class lies in any of them.
    """
    num, order = len(classes), np.argsort(classes, kind="stable")
    present, counts = np.unique(classes, return_counts=True)
    draws = np.full(len(present), num // len(present))
    first = words("sampling", run_seed, epoch, 1, present)
    draws[np.argsort(first, kind="stable")[: num % len(present)]] += 1
    drawn = []
    for members, most in zip(np.split(order, np.cumsum(counts)[:-1]), draws.tolist(), strict=True):
        rounds = np.arange(2, 2 + -(-most // len(members)))
        each = words("sampling", run_seed, epoch, rounds[:, None], members[None, :])
        drawn.append(members[np.argsort(each, axis=1, kind="stable")].ravel()[:most])
    places = words("sampling", run_seed, epoch, 0, np.arange(num, dtype=np.uint64))
    return np.concatenate(drawn)[np.argsort(places, kind="stable")].astype(np.int64)


def subset(ids: U64, num: int) -> NDArray[np.int64]:
    """Positions (min(num, N),), ascending, of a fixed random subset of the samples."""
    return np.sort(np.argsort(words("subset", ids), kind="stable")[:num]).astype(np.int64)


def permuted(ids: U64, repeat: int) -> NDArray[np.int64]:
    """Positions (N,) of the samples in another order: each gets what the sample there has."""
    return np.argsort(words("permuted", repeat, ids), kind="stable").astype(np.int64)


def stratified_subset(ids: U64, strata: NDArray[np.int64], num: int) -> NDArray[np.int64]:
    """Positions (min(num, N),), ascending, of a fixed subset in which strata (N,) keep their shares; a larger one holds it.

    Of every stratum, the largest first, one sample; then its r-th of n (in the order of `subset`) has the place (r + 1/2) / n
    in the order of all, so that each stratum is within about a sample of its share at any `num`. Of one stratum: `subset`.
    """
    drawn = words("subset", ids)
    order = np.lexsort((drawn, strata))
    _, starts, sizes = np.unique(strata[order], return_index=True, return_counts=True)
    rank = np.arange(len(ids)) - np.repeat(starts, sizes)
    place = (rank + 0.5) / np.repeat(sizes, sizes)
    taken = order[np.lexsort((drawn[order], place, rank > 0))[:num]]
    return np.sort(taken).astype(np.int64)


def equal_subset(ids: U64, strata: NDArray[np.int64], each: int) -> NDArray[np.int64]:
    """Positions, ascending, of the first `each` samples of every stratum (N,) in the order of `subset`, or of all it has."""
    order = np.lexsort((words("subset", ids), strata))
    _, starts, sizes = np.unique(strata[order], return_index=True, return_counts=True)
    rank = np.arange(len(ids)) - np.repeat(starts, sizes)
    return np.sort(order[rank < each]).astype(np.int64)


def init_seed(run_seed: int, layer: str) -> int:
    """The seed of a layer's initial weights: the same in every network that has a layer of that name."""
    return int(words("init", run_seed, content_id(layer.encode()))[0] >> np.uint64(1))


@contextmanager
def seeded_torch(seed: int) -> Iterator[None]:
    """Torch's global generator of the CPU, for code that draws from no other: seeded here, and given back as it was.

    Threads of a process take turns, since they share it.
    """
    import torch

    with TORCH:
        before = torch.get_rng_state()
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which formats a stack for each kind of device
        try:
            yield
        finally:
            torch.set_rng_state(before)


TORCH = threading.RLock()
"""Who seeds torch's global generator holds this until it has drawn: batches may be fetched by a thread of their own."""


def dropout_keys(run_seeds: NDArray[Any], steps: NDArray[Any], layer: int) -> NDArray[np.int32]:
    """One 32-bit key for every (lane, step): run seeds (K,) and steps (T,) to int32 (K, T)."""
    mixed = words("dropout", run_seeds.astype(np.uint64)[:, None], steps.astype(np.uint64)[None, :], layer)
    return (mixed >> np.uint64(32)).astype(np.uint32).view(np.int32)


def module_seeds(run_seeds: NDArray[Any], steps: NDArray[Any], shard: int) -> NDArray[np.int64]:
    """What a module's own random layers are seeded with in a shard of a step: run seeds (K,), steps (T,) to int64 (K, T)."""
    mixed = words("module", run_seeds.astype(np.uint64)[:, None], steps.astype(np.uint64)[None, :], shard)
    return (mixed >> np.uint64(1)).astype(np.int64)


def mix_draws(run_seed: int, steps: NDArray[Any], positions: NDArray[Any]) -> NDArray[np.float64]:
    """The (N, 5) uniform numbers that decide how samples at these positions in the whole batches of steps (N,) are mixed."""
    places = steps.astype(np.uint64)[:, None], positions.astype(np.uint64)[:, None]
    return unit(words("mix", run_seed, *places, np.arange(5, dtype=np.uint64)))


def mix_share(drawn: NDArray[np.float64], alpha: float) -> NDArray[np.float32]:
    """Uniform numbers as numbers of the distribution Beta(alpha, alpha), rounded to 2**-16, so that no library's last bit
    decides."""
    from scipy import special

    found = drawn if alpha == 1 else special.betaincinv(alpha, alpha, drawn)
    return (np.round(found * 2.0**16) / 2.0**16).astype(np.float32)


def dropout_base(num_rows: int, num_units: int, device: torch.device | None = None) -> torch.Tensor:
    """Mixed counters (rows, units) int32 of the positions in the whole batch: the part of a mask that no key changes.

    The counter of a position is row * units + unit, so it must stay below 2**31.
    """
    import torch

    x = torch.arange(num_rows * num_units, dtype=torch.int32, device=device)
    for multiplier, shift in ((0x7FEB352D, 15), (0x846CA68B - 2**32, 16)):
        x ^= (x >> shift) & (2 ** (32 - shift) - 1)
        x *= multiplier
    x ^= (x >> 16) & 0xFFFF
    return x.view(num_rows, num_units)


def dropout_keep(
    base: torch.Tensor, keys: torch.Tensor, thresholds: torch.Tensor, out: torch.Tensor | None = None
) -> torch.Tensor:
    """Which units stay, in the shape in which `dropout_base`, keys and `dropout_threshold`s broadcast.

    Returns bool, or 1 for a unit that stays and 0 for the others in `out` of any type. int32's right shift is arithmetic, so
    shifted-in sign bits are masked. Only the upper bits of the last product decide.
    """
    import torch

    x = base ^ keys
    shifted = torch.empty_like(x)
    x *= 0x9E3779B1 - 2**32
    x ^= torch.bitwise_right_shift(x, 15, out=shifted).bitwise_and_(0x1FFFF)
    x *= 0x85EBCA6B - 2**32
    x ^= torch.bitwise_right_shift(x, 13, out=shifted).bitwise_and_(0x7FFFF)
    x *= 0xC2B2AE35 - 2**32
    return torch.le(x, thresholds, out=out)


def dropout_threshold(drop: NDArray[np.float64]) -> NDArray[np.int32]:
    """int32 thresholds (K,): a uniform int32 is at most that with probability 1 - drop; always so at 0. drop in [0, 1)."""
    return (np.round((1.0 - drop) * 2.0**32) - 2.0**31 - 1).astype(np.int64).astype(np.int32)
