"""A small residual network for photos of about 64 to 224 pixels.

Residual blocks with the activation first (He et al. 2016, "Identity Mappings in Deep Residual Networks") and GroupNorm (Wu and
He 2018), so that an answer depends on no other sample and batches may be small. A block begins as the identity: the last
convolution of each is zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

GROUP = 8
"""Channels of a group."""
LARGE = 96
"""Pixels of a side above which the first convolution takes every fourth place instead of every second."""
FACTORS = (1, 2, 4, 8)
"""Channels of each stage, in those of the first; each but the first halves the sides."""


class Block(nn.Module):
    """Norm, ReLU, convolution of 3x3, twice, beside a shortcut: (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(inputs), _norm(outputs)
        self.first = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        nn.init.zeros_(self.second.weight)
        pooled = [nn.AvgPool2d(2, ceil_mode=True)] if stride > 1 else []
        self.shortcut = nn.Sequential(*pooled, nn.Conv2d(inputs, outputs, 1, bias=False)) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        active = torch.relu(self.norm1(x))
        beside = x if self.shortcut is None else self.shortcut(active)
        return beside + self.second(torch.relu(self.norm2(self.first(active))))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """Images (B, C, H, W) to logits (B, outputs), in the order of memory that convolutions are fastest in (channels last)."""

    def __init__(self, shape: Sequence[int], num_outputs: int, width: int, depth: int, dropout: float) -> None:
        super().__init__()
        stride = 4 if min(shape[1:]) > LARGE else 2
        self.stem = nn.Conv2d(shape[0], width, 2 * stride, stride, padding=stride // 2, bias=False)
        widths = [width * factor for factor in FACTORS]
        pairs = list(zip([width, *widths[:-1]], widths, strict=True))
        self.stages = nn.Sequential(*(_stage(*pair, depth, 1 if i == 0 else 2) for i, pair in enumerate(pairs)))
        self.norm, self.dropout, self.head = _norm(widths[-1]), nn.Dropout(dropout), nn.Linear(widths[-1], num_outputs)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.stem(x.contiguous(memory_format=torch.channels_last)))
        return self.head(self.dropout(torch.relu(self.norm(x)).mean((2, 3))))  # type: ignore[no-any-return]


def _stage(inputs: int, outputs: int, depth: int, stride: int) -> nn.Module:
    """Blocks of one size, the first of which may halve the sides."""
    return nn.Sequential(Block(inputs, outputs, stride), *(Block(outputs, outputs, 1) for _ in range(depth - 1)))


def _norm(channels: int) -> nn.Module:
    return nn.GroupNorm(channels // GROUP, channels)


def residual(shape: Sequence[int], num_outputs: int, *, width: int = 32, depth: int = 1, dropout: float = 0.2) -> nn.Module:
    """width: channels of the first stage, of the others 2, 4 and 8 times as many (32: 1.2 M parameters).

    depth: blocks of a stage; dropout: share of what the last layer gets that is dropped in training.
    """
    if width % GROUP or width < GROUP:
        raise ValueError(f"width = {width}: a multiple of {GROUP}")
    if depth < 1:
        raise ValueError(f"depth = {depth}: at least one block in a stage")
    if len(shape) != 3:
        raise ValueError(f"samples of shape {tuple(shape)}: expected are images (channels, height, width)")
    return Residual(shape, num_outputs, width, depth, dropout)
