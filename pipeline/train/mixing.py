"""MixUp and CutMix: samples of a batch mixed with others of the same whole batch, in each run's own way.

Who is mixed with whom and how is a function of run seed, step and position in the whole batch (keyed.mix_draws), so it is the
same on any number of workers, in any shard and beside any other runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline import keyed
from pipeline.kinds.views import views_of
from pipeline.train.program import Lane

PARTNER, SHARE, WHICH, DOWN, ACROSS = range(5)
"""What each uniform number of a sample decides."""
Places = slice | NDArray[np.int64]
"""In an epoch's order."""


@dataclass(frozen=True)
class EpochMix:
    """Of an epoch: for each run, and each place in its order (K, N)."""

    partners: NDArray[np.int64]
    """Places of those that samples are mixed with, in the same batch."""
    shares: NDArray[np.float32]
    """How much of a sample is its own."""
    cut: NDArray[np.bool_]
    """Whether a box of the partner is pasted (CutMix) instead of both being blended (MixUp)."""
    centres: NDArray[np.float32]
    """(K, N, 2): of the boxes, from 0 to 1 along each side."""


class Mixing:
    """How K runs mix."""

    def __init__(self, lanes: Sequence[Lane], kind: str) -> None:
        self.lanes, self.kind = lanes, kind
        self.active = any(lane.mixup or lane.cutmix for lane in lanes)

    def of_epoch(self, first_step: int, num: int, batch_size: int) -> EpochMix:
        """Of `num` samples, in an epoch that begins with that step of the run."""
        places = np.arange(num)
        positions, firsts = places % batch_size, places - places % batch_size
        sizes = np.minimum(batch_size, num - firsts)
        steps = first_step + places // batch_size
        draws = {lane.seed: keyed.mix_draws(lane.seed, steps, positions) for lane in self.lanes}
        every = np.stack([draws[lane.seed] for lane in self.lanes])
        ways = [_way(lane, own) for lane, own in zip(self.lanes, every, strict=True)]
        partners = firsts + (every[..., PARTNER] * sizes).astype(np.int64)
        shares, cut = (np.stack(parts) for parts in zip(*ways, strict=True))
        return EpochMix(partners, shares, cut, every[..., DOWN:].astype(np.float32))

    def mixed(self, own: Tensor, other: Tensor, mix: EpochMix, part: Places) -> tuple[Tensor, Tensor]:
        """Inputs (K, B, ...) of these places mixed with those of their partners, and the own labels' shares (K, B)."""
        shares, cut, centres = (torch.from_numpy(each[:, part]).to(own.device) for each in (mix.shares, mix.cut, mix.centres))
        blended = _blended(own, other, shares)
        if not any(lane.cutmix for lane in self.lanes):
            return blended, shares
        flat = (own.flatten(0, 1), other.flatten(0, 1), shares.flatten(), centres.flatten(0, 1))
        pasted, left = views_of(self.kind).pasted(*flat)
        inputs = torch.where(_wide(cut, own), pasted.view_as(own), blended)
        return inputs, torch.where(cut, left.view_as(shares), shares)


def _way(lane: Lane, draws: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A run's shares (N,), and which of its samples are cut; half of them where it does both."""
    cut = draws[:, WHICH] < (0.5 if lane.mixup and lane.cutmix else float(bool(lane.cutmix)))
    shares = np.ones(len(draws), np.float32)
    for alpha, own in ((lane.mixup, ~cut), (lane.cutmix, cut)):
        if alpha:
            shares[own] = keyed.mix_share(draws[own, SHARE], alpha)
    return shares, cut


def _blended(own: Tensor, other: Tensor, shares: Tensor) -> Tensor:
    """share * own + (1 - share) * other; to the bit the own ones where the share is 1."""
    share = _wide(shares, own)
    return torch.where(share == 1, own, own * share + other * (1 - share))


def _wide(each: Tensor, like: Tensor) -> Tensor:
    """(K, B) beside (K, B, ...)."""
    return each.view(*each.shape, *[1] * (like.ndim - 2))
