"""A small convolutional network for spectrograms: four convolutions of 3x3, and what they find anywhere.

Mean and maximum over time and tones make it indifferent to where in a clip a sound is, and let rows be of any length. The first
convolution takes every second column and band, which costs a quarter and no accuracy (tried on spoken digits).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

GROUP = 8
"""Channels of a group."""


class Spectrogram(nn.Module):
    """(B, 1, bands, columns) to logits (B, outputs), its memory laid out as convolutions are fastest (channels last)."""

    def __init__(self, shape: Sequence[int], num_outputs: int, width: int, dropout: float) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width, 4 * width)
        pairs = list(zip((shape[0], *widths[:-1]), widths, strict=True))
        self.blocks = nn.Sequential(*(_block(*pair, i) for i, pair in enumerate(pairs)))
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(2 * widths[-1], num_outputs)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(x.contiguous(memory_format=torch.channels_last))
        return self.head(self.dropout(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)))  # type: ignore[no-any-return]


def _block(inputs: int, outputs: int, place: int) -> nn.Module:
    """Convolution, normalisation, ReLU; the first skips every second place, the second and third pool."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride=1 if place else 2, padding=1, bias=False)
    pool = [nn.MaxPool2d(2, ceil_mode=True)] if place in (1, 2) else []
    return nn.Sequential(convolution, nn.GroupNorm(max(1, outputs // GROUP), outputs), nn.ReLU(), *pool)


def spectrogram(shape: Sequence[int], num_outputs: int, *, width: int = 16, dropout: float = 0.2) -> nn.Module:
    """width: channels of the first convolution, of the others two and four times as many (16: 62,000 parameters)."""
    if len(shape) != 3:
        raise ValueError(
            f"rows of shape {tuple(shape)}: expected is (1, bands, columns) of spectrograms (data.features=logmel)"
        )
    if width % GROUP:
        raise ValueError(f"width = {width}: a multiple of {GROUP}")
    return Spectrogram(shape, num_outputs, width, dropout)
