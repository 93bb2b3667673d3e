"""A small vision transformer: an image as a sequence of patches.

After Dosovitskiy et al. 2021 as Beyer et al. 2022 ("Better plain ViT baselines for ImageNet-1k") simplify it: fixed positions
(sines and cosines of both axes), the mean over patches in place of a token of its own. It knows nothing of pictures beforehand,
so it needs more of them than a convolutional network does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.networks.attention import Block

HEAD = 32
"""Numbers of a head of attention."""
PATCHES = 8
"""About so many patches a side where no size is told."""
BASE = 10_000.0
"""Longest wave, in patches (Vaswani et al. 2017)."""


class Vit(nn.Module):
    """Images (B, C, H, W) to logits (B, outputs)."""

    positions: Tensor

    def __init__(self, shape: Sequence[int], num_outputs: int, width: int, depth: int, patch: int, dropout: float) -> None:
        super().__init__()
        self.cut = nn.Conv2d(shape[0], width, patch, patch)
        self.register_buffer("positions", positions(shape[1] // patch, shape[2] // patch, width))
        self.layers = nn.Sequential(*(Block(width, width // HEAD, dropout) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.cut(x).flatten(2).mT + self.positions
        return self.head(self.norm(self.layers(x)).mean(1))  # type: ignore[no-any-return]


def positions(rows: int, columns: int, width: int) -> Tensor:
    """(rows x columns, width): sines and cosines of a patch's row and column, a quarter of the numbers each."""
    quarter = width // 4
    rates = BASE ** (-torch.arange(quarter) / quarter)
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [place.flatten()[:, None] * rates for place in (y, x)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], 1)


def vit(
    shape: Sequence[int],
    num_outputs: int,
    *,
    width: int = 128,
    depth: int = 4,
    patch: int | None = None,
    dropout: float = 0.1,
) -> nn.Module:
    """width: numbers of a patch, in heads of 32; depth: layers (128 and 4: 0.8 M parameters); patch: pixels of its side, about
    an eighth of the image's where none is told (of 28 or 32 pixels 4, of 224 28)."""
    if len(shape) != 3:
        raise ValueError(f"samples of shape {tuple(shape)}: expected are images (channels, height, width)")
    side, eighth = math.gcd(*shape[1:]), min(shape[1:]) / PATCHES
    fitting = [each for each in range(1, side + 1) if side % each == 0]
    near = [each for each in fitting if eighth / 2 <= each <= 2 * eighth]
    size = patch or min(near, key=lambda each: abs(each - eighth), default=max(1, round(eighth)))
    if width % HEAD or width < HEAD:
        raise ValueError(f"width = {width}: a multiple of {HEAD}")
    if size not in fitting:
        told = f"images of {shape[1]} x {shape[2]} are cut without a rest by {fitting[1:] or 'none'}"
        raise ValueError(f"patch = {size}: {told}")
    return Vit(shape, num_outputs, width, depth, size, dropout)
