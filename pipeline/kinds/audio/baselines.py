"""What simple methods see of a sound: how loud each band is over time, and how it changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kinds.audio.features import Recipe, log_mel, spectral
from pipeline.kinds.baselines import Seen
from pipeline.kinds.kind import Fit

PARTS = 4


def baselines(fit: Fit, shape: Sequence[int]) -> Sequence[Seen]:
    """One, with a linear method; of waveforms by their spectrograms."""
    recipe = Recipe.of(fit)

    def features(rows: NDArray[Any]) -> NDArray[np.float32]:
        if recipe.mels is None:
            return statistics(np.stack([log_mel(row[0], spectral(recipe)) for row in rows]))
        return statistics(rows[:, 0].astype(np.float32))

    each = "" if recipe.hop is None else " of each window, averaged over its file"
    words = f"log-mel statistics (mean, deviation, change, {PARTS} parts of the time){each}"
    return (Seen("log-mel", words, "linear", features, windows=True),)


def statistics(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 7 bands) of (n, bands, columns): over time mean, deviation and mean change, then the means of its parts."""
    change = np.abs(np.diff(values, axis=2)).mean(2) if values.shape[2] > 1 else np.zeros_like(values[..., 0])
    parts = [part.mean(2) for part in np.array_split(values, min(PARTS, values.shape[2]), axis=2)]
    return np.concatenate([values.mean(2), values.std(2), change, *parts], axis=1).astype(np.float32)
