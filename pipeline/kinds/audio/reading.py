"""Sounds on their way into a dataset: headers, the one rate and length of all, rows, their mean and deviation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.kinds.audio import features
from pipeline.kinds.audio.features import Recipe
from pipeline.kinds.audio.keys import AudioData
from pipeline.kinds.audio.sound import Header, inspected, samples_of
from pipeline.kinds.kind import BadSampleError, Content, Fit, Layout
from pipeline.kinds.reading import Facts, Laid

NUM_FACTS = len(Header._fields)
NUM, RATE, CHANNELS = range(3)
COMMON = 99
"""Per cent of the clips that are not cut where nobody says a length."""
MOST_ALIKE_S, MOST_SPREAD = 30.0, 20
"""Clips of common lengths: such a one at most, and so many times one that is as short as few."""
_SHARES = 5, 50, 95, 99
_BYTES_A_SECOND = 8 * 96_000


def max_bytes(data: AudioData) -> int:
    """Two channels of 96 kHz in 32 bits, and room for pictures of covers."""
    return int(_BYTES_A_SECOND * data.max_seconds) + 2**24


def described(facts: Facts, data: AudioData) -> list[str]:
    """Lengths, rates, channels."""
    seconds = _seconds(facts, data)
    low, *most, high = np.percentile(seconds, [0, *_SHARES, 100])
    lengths = ", ".join(f"{share} % up to {value:.2f}" for share, value in zip(_SHARES, most, strict=True))
    rates, counts = np.unique(_rates(facts, data), return_counts=True)
    several = int((facts[:, CHANNELS] > 1).sum())
    return [
        f"seconds: from {low:.2f} to {high:.2f}, {lengths}; {seconds.sum() / 3600:.2f} hours together",
        f"samples a second: {', '.join(f'{rate}: {num}' for rate, num in np.stack([rates, counts], 1).tolist())}",
        f"{several} of {len(facts)} have several channels",
    ]


def inspect(content: Content, data: AudioData) -> tuple[int, ...]:
    """The header's fields, without decoding."""
    header = inspected(content)
    if not header.rate and data.rate is None:
        raise BadSampleError("an array does not say how many samples a second are; set data.rate")
    seconds = header.num / (header.rate or data.rate or 1)
    if seconds > data.max_seconds:
        raise BadSampleError(f"{seconds:.0f} seconds are more than data.max_seconds = {data.max_seconds:g}")
    return header


def layout(facts: Facts, data: AudioData, name: Callable[[int], str]) -> Laid:
    """One rate and one length for all clips, or windows of recordings."""
    rates, counts = np.unique(_rates(facts, data), return_counts=True)
    rate = data.rate or int(rates[np.flatnonzero(counts == counts.max())[-1]])
    seconds = _seconds(facts, data)
    length = data.window or data.length or _common_length(seconds)
    num = max(1, round(length * rate))
    hop = None if data.window is None else max(1, round((data.hop or data.window) * rate))
    recipe = Recipe(rate, data.channel, data.resampler, num, hop, **_bands(data, rate, num))
    notes = [*_rate_notes(facts, data, rate), *(_window_notes(seconds, data) if hop else _length_notes(seconds, length))]
    return Laid(Layout(recipe.shape, recipe.dtype, windows=hop is not None, details=recipe.details()), notes)


def decode(content: Content, data: AudioData, layout: Layout) -> NDArray[Any] | list[NDArray[Any]]:
    """(1, bands, columns) float16 or (1, samples) float32; of a recording one for each window."""
    recipe = Recipe.of(layout.details)
    samples, rate = samples_of(content, recipe.channel)
    made = features.rows(samples, rate or recipe.rate, recipe)
    return made if layout.windows else made[0]


def fit(rows: Iterator[NDArray[Any]], layout: Layout) -> tuple[Fit, list[str]]:
    """Mean and population's standard deviation of each band, or of all samples of waveforms, and how rows are made."""
    recipe = Recipe.of(layout.details)
    sums = squares = np.zeros(recipe.mels or 1)
    num = 0
    for values in rows:
        bands = np.moveaxis(values.astype(np.float64), -2, 0).reshape(len(sums), -1)
        num += bands.shape[1]
        sums, squares = sums + bands.sum(1), squares + (bands**2).sum(1)
    mean = sums / max(num, 1)
    std = np.sqrt(np.maximum(squares / max(num, 1) - mean**2, 0.0))
    notes = ["a band is the same in every training sample"] if (std == 0).any() else []
    return {"mean": mean.tolist(), "std": std.tolist(), **layout.details}, notes


def from_cell(array: NDArray[Any], data: AudioData) -> NDArray[Any]:
    """Samples (n,), whole numbers of full scale or floats from -1 to 1."""
    if array.ndim != 1:
        raise BadSampleError(f"an array of {array.ndim} sides; the samples of one channel are expected")
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _rates(facts: Facts, data: AudioData) -> NDArray[np.int64]:
    """Of each sound; of arrays as it is told."""
    rates: NDArray[np.int64] = np.where(facts[:, RATE] == 0, data.rate or 1, facts[:, RATE])
    return rates


def _seconds(facts: Facts, data: AudioData) -> NDArray[np.float64]:
    seconds: NDArray[np.float64] = facts[:, NUM] / _rates(facts, data)
    return seconds


def _common_length(seconds: NDArray[np.float64]) -> float:
    """In tenths of a second the length that few clips exceed; DataError where lengths differ as those of recordings do."""
    short, common = np.percentile(seconds, [100 - COMMON, COMMON])
    if common > MOST_ALIKE_S or common > MOST_SPREAD * short:
        raise DataError(
            f"the sounds are {seconds.min():.2f} to {seconds.max():.2f} seconds long, half of them up to "
            f"{np.median(seconds):.2f}: no length suits all. `regatta run data.window=2` cuts recordings into windows of 2 "
            "seconds (a file's answer is the mean over its own); data.length=2 cuts and fills up all to 2"
        )
    return max(0.1, math.ceil(round(10 * float(common), 6)) / 10)


def _bands(data: AudioData, rate: int, num: int) -> dict[str, Any]:
    if data.features == "waveform":
        return {"mels": None}
    high = data.high or rate / 2
    if high > rate / 2 or data.low >= high:
        wrong = f"data.high = {high:g}" if high > rate / 2 else f"data.low = {data.low:g}"
        raise DataError(
            f"{wrong}: at {rate} samples a second there is nothing above {rate / 2:g} Hz; set data.high and data.low"
        )
    frame, step = max(2, round(data.frame * rate)), max(1, round(data.step * rate))
    if frame > num:
        raise DataError(f"data.frame = {data.frame:g} is longer than a whole row, {num / rate:g} seconds; set a shorter one")
    return {"mels": data.mels, "frame": frame, "step": step, "low": data.low, "high": high}


def _rate_notes(facts: Facts, data: AudioData, rate: int) -> list[str]:
    others = _rates(facts, data) != rate
    several = int((facts[:, CHANNELS] > 1).sum())
    notes = []
    if others.any():
        notes.append(
            f"{others.sum()} of {len(facts)} sounds have other rates than {rate} a second: resampled ({data.resampler})"
        )
    if several:
        notes.append(f"{several} of {len(facts)} sounds have several channels: {_CHANNELS[data.channel]} (data.channel)")
    return notes


_CHANNELS = {"mix": "their mean is taken", "left": "the first is taken", "right": "the second is taken"}


def _length_notes(seconds: NDArray[np.float64], length: float) -> list[str]:
    cut = seconds > length + 1e-9
    lost = (seconds[cut] - length).sum() / seconds.sum()
    are = "is" if cut.sum() == 1 else "are"
    said = f"clips of {seconds.min():.2f} to {seconds.max():.2f} seconds are stored as {length:g} (data.length)"
    cuts = f"{cut.sum()} of {len(seconds)} {are} cut to their middle, {lost:.1%} of all sound" if cut.any() else "none is cut"
    return [f"{said}: {cuts}; shorter ones get silence at both ends"]


def _window_notes(seconds: NDArray[np.float64], data: AudioData) -> list[str]:
    window, hop = data.window or 0.0, data.hop or data.window or 1.0
    counts = 1 + np.ceil(np.maximum(seconds - window, 0) / hop)
    short = int((seconds < window).sum())
    lengths = f"{seconds.min():.2f} to {seconds.max():.2f} seconds"
    said = f"recordings of {lengths} are cut into windows of {window:g}, one every {hop:g}"
    own = f"{counts.min():.0f} to {counts.max():.0f} of a recording, {counts.sum():.0f} together"
    return [f"{said}: {own}" + (f"; {short} are shorter and get silence at both ends" if short else "")]
