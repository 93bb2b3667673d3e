"""Features as networks take them: float32, each of mean 0 and deviation 1 over the training split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.errors import DataError
from pipeline.kinds.inputs import Cast
from pipeline.kinds.kind import Fit

if TYPE_CHECKING:
    import torch


def input_shape(fit: Fit, shape: Sequence[int]) -> tuple[int, ...]:
    """As stored."""
    return tuple(shape)


def to_input(fit: Fit, shape: Sequence[int], device: torch.device | str) -> Cast:
    """(B, width) float32; a feature that is the same for all training samples is 0 there."""
    import torch

    mean = torch.tensor(fit["mean"], device=device)
    scale = 1 / torch.tensor([s or 1.0 for s in fit["std"]], device=device)

    def cast(rows: torch.Tensor) -> torch.Tensor:
        return (rows.to(mean.device, torch.float32) - mean).mul_(scale)

    return cast


def check_inputs(inputs: torch.Tensor, shape: tuple[int, ...]) -> None:
    """DataError where inputs are no features."""
    if tuple(inputs.shape[1:]) != shape:
        raise DataError(f"inputs of shape {tuple(inputs.shape)}: expected are features (B, {shape[0]})")
