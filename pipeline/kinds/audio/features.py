"""From samples to rows: one rate, clips or windows of one length, and their log-mel spectrograms.

Sample by sample with scipy's FFT: torch.stft (MKL) gives other bits in batches of other sizes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.kinds.audio.sound import Samples

FLOOR = 1e-8
"""Least power of a band, where that of a sine of full scale is 1: 80 dB below it is silence."""
MOST_BINS = 2**16


@dataclass(frozen=True)
class Recipe:
    """All that decides how samples become rows; kept in `fit`."""

    rate: int
    channel: Literal["mix", "left", "right"]
    resampler: str
    num: int
    """Samples of a row."""
    hop: int | None
    """Samples from one window to the next; None: a clip is one row."""
    mels: int | None
    """Bands; None: rows are waveforms."""
    frame: int = 0
    """Samples of a column, and from one to the next."""
    step: int = 0
    low: float = 0.0
    high: float = 0.0
    """Hz."""

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> Recipe:
        return cls(**details["recipe"])

    def details(self) -> dict[str, Any]:
        return {"recipe": asdict(self)}

    @property
    def shape(self) -> tuple[int, ...]:
        """(1, bands, columns) or (1, samples)."""
        return (1, self.num) if self.mels is None else (1, self.mels, num_columns(self))

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32 if self.mels is None else np.float16)


def num_columns(recipe: Recipe) -> int:
    """Of a row's spectrogram."""
    return 1 + (recipe.num - recipe.frame) // recipe.step


def spectral(recipe: Recipe) -> Recipe:
    """The spectrograms of waveforms, for people and for simple methods: 40 bands, columns of 25 ms every 10 ms."""
    frame, step = (min(recipe.num, max(1, round(seconds * recipe.rate))) for seconds in (0.025, 0.01))
    return replace(recipe, mels=40, frame=frame, step=step, low=0.0, high=recipe.rate / 2)


def rows(samples: Samples, rate: int, recipe: Recipe) -> list[NDArray[Any]]:
    """The rows of a sound: one of a clip, one for each window of a recording."""
    heard = resampled(samples, rate, recipe.rate, recipe.resampler)
    parts = [centred(heard, recipe.num)] if recipe.hop is None else windows(heard, recipe.num, recipe.hop)
    made = [part[None] if recipe.mels is None else log_mel(part, recipe)[None] for part in parts]
    return [row.astype(recipe.dtype) for row in made]


def resampled(samples: Samples, rate: int, to: int, resampler: str) -> Samples:
    """At another rate."""
    if rate == to:
        return samples
    if resampler == "scipy":
        from scipy.signal import resample_poly

        common = math.gcd(rate, to)
        return np.asarray(resample_poly(samples, to // common, rate // common), np.float32)
    try:
        import soxr
    except ModuleNotFoundError:
        raise ConfigError(
            "data.resampler = soxr: it is not installed; say `pip install soxr`, or data.resampler=scipy"
        ) from None
    return np.asarray(soxr.resample(samples, rate, to, quality="HQ"), np.float32)


def centred(samples: Samples, num: int) -> Samples:
    """The middle, or with silence at both ends."""
    lacking = num - len(samples)
    if lacking <= 0:
        return samples[-lacking // 2 : -lacking // 2 + num]
    return np.pad(samples, (lacking // 2, lacking - lacking // 2))


def windows(samples: Samples, num: int, hop: int) -> list[Samples]:
    """Windows at equal distances, the last one where the sound ends; of a shorter sound one with silence at both ends."""
    if len(samples) <= num:
        return [centred(samples, num)]
    last = len(samples) - num
    starts = [*range(0, last, hop), last]
    return [samples[at : at + num] for at in starts]


def log_mel(samples: Samples, recipe: Recipe) -> Samples:
    """(bands, columns): the logarithm of the power in each band, 0 for a sine of full scale."""
    from scipy import fft

    assert recipe.mels is not None
    bank, window = _sparse_analysis(recipe)
    frames = np.lib.stride_tricks.sliding_window_view(samples, recipe.frame)[:: recipe.step]
    spectrum = fft.rfft(frames * window, 2 * (bank.shape[1] - 1), axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    found: Samples = np.log(np.maximum(bank @ np.ascontiguousarray(power.T), np.float32(FLOOR)))
    return found


@lru_cache(maxsize=8)
def _sparse_analysis(recipe: Recipe) -> tuple[Any, Samples]:
    """The bank (bands, bins) of what is not 0, two bands a bin: a product without threads, which each process would start."""
    from scipy.sparse import csr_array

    bank, window = analysis(recipe)
    return csr_array(bank.T), window


@lru_cache(maxsize=8)
def analysis(recipe: Recipe) -> tuple[Samples, Samples]:
    """The filter bank (bins, bands) and the window (frame,), Hann's, scaled so that a sine of full scale has the power 1."""
    assert recipe.mels is not None
    num_fft = 1 << (recipe.frame - 1).bit_length()
    bank = mel_bank(recipe.mels, num_fft, recipe.rate, recipe.low, recipe.high)
    while (bank.max(0) == 0).any() and num_fft < MOST_BINS:  # a band between two bins: finer ones, by zeros behind the frame
        num_fft *= 2
        bank = mel_bank(recipe.mels, num_fft, recipe.rate, recipe.low, recipe.high)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(recipe.frame) / recipe.frame)
    return bank.astype(np.float32), (window / (window.sum() / 2)).astype(np.float32)


def mel_bank(mels: int, num_fft: int, rate: int, low: float, high: float) -> NDArray[np.float64]:
    """(bins, bands): triangles that are 1 at their peaks, whose feet are the peaks beside them.

    Edges are at equal distances in mel, 2595 log10(1 + f / 700) (O'Shaughnessy 1987; The HTK Book, 5.4).
    """
    edges = mel_edges(mels, low, high)[:, None]
    bins = np.arange(num_fft // 2 + 1) * rate / num_fft
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling)).T


def mel_edges(mels: int, low: float, high: float) -> NDArray[np.float64]:
    """(bands + 2,) Hz: where bands begin, peak and end."""
    first, last = (2595 * math.log10(1 + f / 700) for f in (low, high))
    return 700 * (10 ** (np.linspace(first, last, mels + 2) / 2595) - 1)
