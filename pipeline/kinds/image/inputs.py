"""Images as networks take them: float32, with the training split's mean and deviation."""

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
    """uint8 (B, C, H, W) to float32, each channel of mean 0 and deviation 1 over the training split."""
    import torch

    channels = (-1, *[1] * (len(shape) - 1))
    mean = 255 * torch.tensor(fit["mean"], device=device).view(channels)
    scale = 1 / (255 * torch.tensor([s or 1.0 for s in fit["std"]], device=device).view(channels))

    def cast(images: torch.Tensor) -> torch.Tensor:
        return images.to(mean.device, torch.float32).sub_(mean).mul_(scale)

    return cast


def check_inputs(inputs: torch.Tensor, shape: tuple[int, ...]) -> None:
    """DataError where inputs are not (B, *shape) uint8: other types and orders would give answers, but wrong ones."""
    import torch

    hints = []
    if inputs.dtype != torch.uint8:
        hints.append("images of 0 to 1 become it with `(255 * images).round().to(torch.uint8)`")
    if tuple(inputs.shape[1:]) != shape:
        given = tuple(inputs.shape)
        if given == shape:
            hints.append("one image becomes a batch with `image[None]`")
        elif len(shape) == 3 and given[1:] == (*shape[1:], shape[0]):
            hints.append("channels come first: `images.permute(0, 3, 1, 2)`")
        else:
            hints.append("other sizes are resized as `data.resize` says, before they come here")
    if hints:
        expected = f"(B, {', '.join(map(str, shape))}), values from 0 to 255"
        raise DataError(
            f"inputs of dtype {str(inputs.dtype).removeprefix('torch.')} and shape {tuple(inputs.shape)}: expected are uint8 "
            f"of shape {expected}; {'; '.join(hints)}"
        )
