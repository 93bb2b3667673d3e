"""A small fast convolutional network for images of about 24 to 64 pixels.

After airbench (Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU"): a first convolution of 2x2, three blocks of two
convolutions of 3x3 with normalisation and GELU, a linear layer. Its whitened first layer and its own optimizer are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

GROUP = 16
"""Channels of a group of GroupNorm."""


class Block(nn.Module):
    """Convolution, pooling, normalisation, GELU, convolution, normalisation, GELU: (B, inputs, H, W) to half the sides."""

    def __init__(self, inputs: int, outputs: int, norm: str) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.norm1, self.norm2 = _norm(norm, outputs), _norm(norm, outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.active = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.active(self.norm1(self.pool(self.first(x))))
        return self.active(self.norm2(self.second(x)))  # type: ignore[no-any-return]


class Airbench(nn.Module):
    """Images (B, C, H, W) to logits (B, outputs), in the order of memory that convolutions are fastest in (channels last)."""

    def __init__(self, shape: Sequence[int], num_outputs: int, width: int, norm: str, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Conv2d(shape[0], 24, 2)
        widths = (width, 4 * width, 4 * width)
        pairs = zip((24, *widths[:-1]), widths, strict=True)
        self.blocks = nn.Sequential(*(Block(inputs, outputs, norm) for inputs, outputs in pairs))
        self.pool, self.active, self.dropout = nn.AdaptiveMaxPool2d(1), nn.GELU(), nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], num_outputs)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        x = self.active(self.stem(x.contiguous(memory_format=torch.channels_last)))
        return self.head(self.dropout(self.pool(self.blocks(x)).flatten(1)))  # type: ignore[no-any-return]


def _norm(norm: str, channels: int) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(channels, momentum=0.4)
    return nn.GroupNorm(max(1, channels // GROUP), channels)


def airbench(
    shape: Sequence[int],
    num_outputs: int,
    *,
    width: int = 32,
    norm: Literal["batch", "group"] = "batch",
    dropout: float = 0.0,
) -> nn.Module:
    """width: channels of the first block, of the others four times as many (32: 0.5 M parameters, 64: 2 M).

    norm: batch takes the statistics of a shard of a batch, of at least 16 rows; group is for smaller ones.
    """
    if norm not in ("batch", "group"):
        raise ValueError(f"norm = {norm!r}: batch or group")
    return Airbench(shape, num_outputs, width, norm, dropout)
