"""Stretches of time and frequency of a sound: bands at their mean in training, or of a waveform what sounds there taken out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kinds.audio.features import Recipe, mel_edges, num_columns, spectral
from pipeline.kinds.audio.sound import Samples
from pipeline.kinds.kind import Fit
from pipeline.kinds.occlusion import Square, squares

HIDDEN = "each stretch of time and frequency, a quarter of both, was set to the mean of training"
DRAWS = 0
FADE = 0.1
"""Of a stretch of a waveform, at both of its ends."""


def regions(fit: Fit) -> list[Square]:
    """The parts, as bands and columns of the spectrogram that people see."""
    return squares(*_seen(Recipe.of(fit)))


def told(region: Square, fit: Fit) -> str:
    """A part in words."""
    recipe = spectral_recipe(Recipe.of(fit))
    edges = mel_edges(recipe.mels or 0, recipe.low, recipe.high)
    first, last = (at * recipe.step / recipe.rate for at in (region.left, region.right))
    low, high = (f"{round(edges[at], -1):,.0f}" for at in (region.top, region.bottom + 1))
    return f"{first:.2f} to {last:.2f} s, {low} to {high} Hz"


def spectral_recipe(recipe: Recipe) -> Recipe:
    """That of the spectrogram that people see: of a waveform its own."""
    return spectral(recipe) if recipe.mels is None else recipe


def _seen(recipe: Recipe) -> tuple[int, int]:
    shown = spectral_recipe(recipe)
    assert shown.mels is not None
    return shown.mels, num_columns(shown)


def num_parts(row: NDArray[Any], fit: Fit) -> int:
    """Of a clip or a window."""
    return len(regions(fit))


def hidden(row: NDArray[Any], part: int, fit: Fit, other: None) -> NDArray[Any]:
    """A copy (1, bands, columns), or (1, samples), without one part."""
    recipe, region = Recipe.of(fit), regions(fit)[part]
    if recipe.mels is None:
        return _without(row[0], region, recipe)[None]
    copy, bands = row.copy(), slice(region.top, region.bottom)
    copy[0, bands, region.left : region.right] = np.array(fit["mean"])[bands, None]
    return copy


def _without(samples: Samples, region: Square, recipe: Recipe) -> Samples:
    """A waveform without what sounds in a stretch between two frequencies; what is taken out fades in and out."""
    from scipy import fft

    shown, (_, columns) = spectral_recipe(recipe), _seen(recipe)
    first, last = (round(at * len(samples) / columns) for at in (region.left, region.right))
    edges = mel_edges(shown.mels or 0, shown.low, shown.high)
    stretch = samples[first:last]
    spectrum = fft.rfft(stretch * _faded(len(stretch)))
    pitches = fft.rfftfreq(len(stretch), 1 / recipe.rate)
    spectrum[(pitches < edges[region.top]) | (pitches > edges[region.bottom + 1])] = 0
    copy = samples.copy()
    copy[first:last] -= fft.irfft(spectrum, len(stretch))
    return copy


def _faded(num: int) -> NDArray[np.float32]:
    """1, but rising from 0 and falling to it at the ends (num,)."""
    place = (np.arange(num) + 0.5) / num
    nearer = np.minimum(1, np.minimum(place, 1 - place) / FADE)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * nearer), np.float32)
