"""Noise by counter: integer operations of torch alone, so that every device draws the same numbers."""

from __future__ import annotations

import math
from functools import lru_cache

import torch

MIDDLE = 510
SPREAD = math.sqrt(4 * (256**2 - 1) / 12)
"""Mean and standard deviation of the sum of four uniform bytes, nearly normal (Irwin-Hall); it ends 3.45 of them out."""


# 32-bit multiplications and right shifts before and after the key; the constants are those of keyed's dropout masks.
_BEFORE = ((0x7FEB352D, 15), (0x846CA68B, 16), (1, 16))
_AFTER = ((0x9E3779B1, 15), (0x85EBCA6B, 13), (0xC2B2AE35, 16))


def batch_noise(keys: torch.Tensor, num_values: int) -> torch.Tensor:
    """Whole numbers (B, num_values) float32 of mean 0 and standard deviation `SPREAD`, from int32 keys (B,)."""
    x = _mixed(_counters(num_values, keys.device) ^ keys[:, None], _AFTER)
    pairs = (x & 0x00FF00FF).add_((x >> 8).bitwise_and_(0x00FF00FF))
    return (pairs & 0xFFFF).add_(pairs >> 16).sub_(MIDDLE).float()


@lru_cache(maxsize=8)
def _counters(num_values: int, device: torch.device) -> torch.Tensor:
    return _mixed(torch.arange(num_values, dtype=torch.int32, device=device)[None], _BEFORE)


def _mixed(x: torch.Tensor, rounds: tuple[tuple[int, int], ...]) -> torch.Tensor:
    """In place. int32's right shift is arithmetic, so the shifted-in sign bits are masked."""
    for multiplier, shift in rounds:
        x *= multiplier - 2**32 if multiplier >= 2**31 else multiplier
        x ^= (x >> shift).bitwise_and_(2 ** (32 - shift) - 1)
    return x
