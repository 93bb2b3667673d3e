"""A sound that has the log-mel spectrogram of another: what is left of it to hear."""

from __future__ import annotations

import numpy as np

from pipeline.kinds.audio.features import Recipe, analysis, num_columns
from pipeline.kinds.audio.sound import Samples

ROUNDS = 24
MOMENTUM = 0.9


def rebuilt(values: Samples, recipe: Recipe) -> Samples:
    """(samples,) from (bands, columns): powers of bins by the bank's transpose, phases that agree from column to column.

    Griffin and Lim 1984, faster by momentum (Perraudin, Balazs and Soendergaard 2013); the first phases are drawn by one seed.
    """
    from scipy import fft

    bank, window = analysis(recipe)
    weight = bank / np.maximum(bank.sum(0), 1e-9)
    size = np.sqrt(weight @ np.exp(values)).T
    num_fft = 2 * (len(bank) - 1)
    phases = np.exp(2j * np.pi * np.random.default_rng(0).random(size.shape))
    before = np.zeros_like(phases)
    for _ in range(ROUNDS):
        samples = _joined(fft.irfft(size * phases, num_fft, axis=1)[:, : recipe.frame], window, recipe)
        frames = np.lib.stride_tricks.sliding_window_view(samples, recipe.frame)[:: recipe.step][: num_columns(recipe)]
        now = fft.rfft(frames * window, num_fft, axis=1)
        ahead = now + MOMENTUM * (now - before)
        phases, before = ahead / np.maximum(np.abs(ahead), 1e-12), now
    return _joined(fft.irfft(size * phases, num_fft, axis=1)[:, : recipe.frame], window, recipe).astype(np.float32)


def _joined(frames: Samples, window: Samples, recipe: Recipe) -> Samples:
    """Columns laid over each other where they were cut."""
    num = (len(frames) - 1) * recipe.step + recipe.frame
    samples, weight = np.zeros(num), np.full(num, 1e-6)
    for i, frame in enumerate(frames):
        place = slice(i * recipe.step, i * recipe.step + recipe.frame)
        samples[place] += frame * window
        weight[place] += window**2
    found: Samples = samples / weight
    return found
