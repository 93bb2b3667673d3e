"""From values as stored to what a network takes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def normalisation(
    mean: Sequence[float],
    std: Sequence[float],
    input_shape: Sequence[int],
    device: torch.device | str,
) -> tuple[Tensor, Tensor]:
    """What is subtracted from inputs as stored (0..255), and what they are then multiplied by: (channels, 1, ...)."""
    channels = (-1, *[1] * (len(input_shape) - 1))
    scale = 1 / (255 * torch.tensor([s or 1.0 for s in std], device=device).view(channels))
    return 255 * torch.tensor(mean, device=device).view(channels), scale
