"""Sounds as networks take them: float32, each band with the training split's mean and deviation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import DataError
from pipeline.kinds.audio import features
from pipeline.kinds.audio.features import Recipe
from pipeline.kinds.audio.sound import inspected, samples_of
from pipeline.kinds.inputs import Cast
from pipeline.kinds.kind import BadSampleError, Fit, loaded

if TYPE_CHECKING:
    import torch


def input_shape(fit: Fit, shape: Sequence[int]) -> tuple[int, ...]:
    """As stored."""
    return tuple(shape)


def to_input(fit: Fit, shape: Sequence[int], device: torch.device | str) -> Cast:
    """(B, 1, bands, columns) float16, or (B, 1, samples) float32, to float32 of mean 0 and deviation 1 in training."""
    import torch

    mean = torch.tensor(fit["mean"], dtype=torch.float32, device=device)[:, None]
    scale = 1 / torch.tensor([s or 1.0 for s in fit["std"]], dtype=torch.float32, device=device)[:, None]

    def cast(rows: torch.Tensor) -> torch.Tensor:
        return (rows.to(mean.device, torch.float32) - mean).mul_(scale)

    return cast


def as_stored(samples: Any, fit: Fit) -> torch.Tensor | list[torch.Tensor]:
    """Sound files, by their paths or as bytes, as rows as stored; of recordings a tensor of windows for each.

    DataError where one can't be read.
    """
    import torch

    if isinstance(samples, str | bytes | Path):
        shown = "bytes" if isinstance(samples, bytes) else repr(str(samples))
        raise DataError(f"one sound, {shown}, where several are expected; one sound is [path]")
    recipe, found = Recipe.of(fit), []
    for sample in samples:
        try:
            content = loaded(sample if isinstance(sample, bytes) else Path(sample))
            inspected(content)  # whether it is whole
            rows = features.rows(*samples_of(content, recipe.channel), recipe)
        except BadSampleError as bad:
            raise DataError(f"{'bytes' if isinstance(sample, bytes) else sample}: {bad}") from None
        found.append(torch.from_numpy(np.stack(rows)))
    return found if recipe.hop is not None else torch.cat(found)


def check_inputs(inputs: torch.Tensor, shape: tuple[int, ...]) -> None:
    """DataError where inputs are no rows as stored: others would give answers, but wrong ones."""
    import torch

    expected = torch.float16 if len(shape) == 3 else torch.float32
    if inputs.dtype != expected or tuple(inputs.shape[1:]) != shape:
        given, wanted = (str(dtype).removeprefix("torch.") for dtype in (inputs.dtype, expected))
        raise DataError(
            f"inputs of dtype {given} and shape {tuple(inputs.shape)}: expected are rows as stored, {wanted} of shape "
            f"(B, {', '.join(map(str, shape))}); sound files go through `Predictor.rows`"
        )
