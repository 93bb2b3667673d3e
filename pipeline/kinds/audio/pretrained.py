"""Published networks for sounds, and their inputs: waveforms at their own rate, each standardised by itself if they say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.kinds.audio.features import Recipe as Stored
from pipeline.kinds.inputs import Cast, Taken
from pipeline.kinds.kind import Fit
from pipeline.kinds.pretrained import Recipe

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SAID = "preprocessor_config.json"
FILES = (SAID,)
BUILDING = ()
MEAN = "mean over time"
LAYOUTS = dict.fromkeys(("wav2vec2", "hubert", "wavlm"), MEAN)
QUIET = 1e-7
"""Added to a sound's variance, as transformers does it."""


def recipe(config: Mapping[str, Any], files: Mapping[str, Any]) -> Recipe:
    """Rate, whether each sound is standardised by itself, and the fewest samples of which anything is left."""
    rate, kernels, strides = files[SAID].get("sampling_rate"), config.get("conv_kernel"), config.get("conv_stride")
    if not isinstance(rate, int) or not 1000 <= rate <= 384_000:
        raise ValueError(f"{SAID}: sampling_rate = {rate!r}: samples a second are needed")
    sizes = [kernels, strides]
    if not all(isinstance(each, list) and each and all(isinstance(n, int) and n > 0 for n in each) for each in sizes):
        raise ValueError(f"config.json: conv_kernel = {kernels!r}, conv_stride = {strides!r}: lists of numbers are needed")
    fewest = 1
    for kernel, stride in zip(reversed(kernels or []), reversed(strides or []), strict=False):
        fewest = (fewest - 1) * stride + kernel
    return {"rate": rate, "standardised": bool(files[SAID].get("do_normalize", True)), "fewest": fewest}


def misfit(recipe: Recipe, fit: Fit, shape: Sequence[int]) -> str | None:
    """Waveforms alone, at its rate, and long enough."""
    if len(shape) != 2:
        return "it takes waveforms, and these are spectrograms; say data.features=waveform"
    if (rate := Stored.of(fit).rate) != recipe["rate"]:
        return f"it takes {recipe['rate']} samples a second, and these have {rate}; say data.rate={recipe['rate']}"
    if shape[-1] < recipe["fewest"]:
        return f"it takes at least {recipe['fewest']} samples, and these have {shape[-1]}; say a larger data.length"
    return None


def taken(recipe: Recipe, shape: Sequence[int], lengths: Sequence[int] | None) -> Taken:
    """Its samples."""
    return Taken((shape[-1],))


def to_published(recipe: Recipe, shape: Sequence[int], device: torch.device | str) -> Cast:
    """(B, 1, samples) float32 to (B, samples)."""
    import torch

    def given(rows: Any) -> Tensor:
        sounds: Tensor = rows.to(device, torch.float32)[:, 0]
        if recipe["standardised"]:
            variance, mean = torch.var_mean(sounds, dim=1, correction=0, keepdim=True)
            sounds = (sounds - mean) / (variance + QUIET).sqrt()
        return sounds

    return given


def named(recipe: Recipe, x: Tensor, lengths: Tensor | None) -> dict[str, Tensor]:
    """Sounds alone."""
    return {"input_values": x}


def pooled(layout: str, output: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """The mean over the frames of a sound."""
    found: Tensor = output.last_hidden_state.mean(1)
    return found
