"""The randomness of training steps, as networks ask for it: a pure function of run seeds, step, shard and position.

Masks are made for a few steps at once, when the first of them is asked for: one call costs more than its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pipeline import keyed

CACHED_VALUES = 2**15
"""Values whose mixing stays in a core's own cache."""
Span = tuple[int, int]


class Draws:
    """Of K runs side by side: their seeds, and the share of units that each of them drops."""

    def __init__(self, seeds: Sequence[int], dropout: Sequence[float], batch_size: int, device: torch.device) -> None:
        self.seeds = np.array(seeds, dtype=np.uint64)
        self.batch_size, self.device = batch_size, device
        drop = np.array(dropout)
        self.drops = bool(drop.any())
        self.thresholds = torch.from_numpy(keyed.dropout_threshold(drop)).view(-1, 1).to(device)
        self.scales = torch.from_numpy((1 / (1 - drop)).astype(np.float32)).view(-1, 1).to(device)
        self.bases: dict[int, Tensor] = {}
        """By the number of units; the same in every step."""

    def of_epoch(self, steps: range) -> EpochDraws:
        """Of an epoch's steps, counted from the beginning of the run."""
        return EpochDraws(self, steps)

    def base(self, units: int) -> Tensor:
        if units not in self.bases:
            self.bases[units] = keyed.dropout_base(self.batch_size, units, self.device)
        return self.bases[units]


@dataclass(frozen=True)
class EpochDraws:
    """Of an epoch, for which each layer's keys are made at once."""

    draws: Draws
    steps: range
    keys: dict[int, Tensor] = field(default_factory=dict)
    """int32 (K, steps of the epoch) by layer."""
    seeds: dict[int, list[list[int]]] = field(default_factory=dict)
    """Of torch's generator, by shard: one for each run and step of the epoch."""

    def block(self, steps: range, rows: Span) -> DrawBlock:
        """Of a few of its steps, counted within it, and of these rows of each whole batch."""
        return DrawBlock(self, steps, rows)

    def masks(self, steps: range, rows: Span, layer: int, units: int) -> Tensor:
        """(K, steps, rows, units): 1 / (1 - rate) for a unit that is kept, else 0."""
        draws = self.draws
        if layer not in self.keys:
            of_epoch = keyed.dropout_keys(draws.seeds, np.array(self.steps), layer)
            self.keys[layer] = torch.from_numpy(of_epoch).to(draws.device)
        keys, base = self.keys[layer][:, steps.start : steps.stop], draws.base(units)[slice(*rows)]
        masks = torch.empty(*keys.shape, *base.shape, device=draws.device)
        # A few at a time on a CPU, so that what they are mixed from stays in its cache.
        on_cpu = draws.device.type == "cpu"
        most = max(1, CACHED_VALUES // max(1, base.numel())) if on_cpu else keys.numel()
        settings = (each.expand(keys.shape).reshape(-1, 1, 1) for each in (keys, draws.thresholds, draws.scales))
        parts = (torch.split(each, most) for each in (masks.flatten(0, 1), *settings))
        for out, key, threshold, scale in zip(*parts, strict=True):
            keyed.dropout_keep(base, key, threshold, out).mul_(scale)
        return masks

    def torch_seeds(self, shard: int) -> list[list[int]]:
        """For each run one for each step of the epoch."""
        if shard not in self.seeds:
            seeds = keyed.module_seeds(self.draws.seeds, np.array(self.steps), shard)
            self.seeds[shard] = seeds.tolist()
        return self.seeds[shard]


@dataclass(frozen=True)
class DrawBlock:
    """Of a few steps, whose masks are made together."""

    epoch: EpochDraws
    steps: range
    rows: Span
    made: dict[int, Tensor] = field(default_factory=dict)

    def shard(self, step: int, shard: int, first: int, last: int, num_rows: int) -> Draw:
        """Of one of the steps, and of rows [first, last) of its whole batch of so many."""
        rows = slice(first - self.rows[0], last - self.rows[0])
        return Draw(self, step, shard, rows, (last - first) / num_rows)

    def masks(self, layer: int, units: int) -> Tensor:
        if layer not in self.made:
            self.made[layer] = self.epoch.masks(self.steps, self.rows, layer, units)
        return self.made[layer]


@dataclass(slots=True)
class Draw:
    """All randomness of one shard of one step."""

    block: DrawBlock
    step: int
    shard: int
    rows: slice
    """Among those of the block."""
    share: float
    """Of the whole batch."""

    def seed_torch(self) -> None:
        """Seed torch's generators for the one run there is; nothing else here ever draws from them."""
        [seeds] = self.block.epoch.torch_seeds(self.shard)
        device, seed = self.block.epoch.draws.device, seeds[self.step]
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def masks(self, layer: int, units: int) -> Tensor | None:
        """Dropout masks (K, rows, units) of a layer, which depend on neither the shard nor the worker; None: no dropout."""
        if not self.block.epoch.draws.drops:
            return None
        return self.block.masks(layer, units)[:, self.step - self.block.steps.start, self.rows]
