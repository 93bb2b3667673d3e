"""Stretches of time and frequency that are hidden, and how they are shown."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
from PIL import Image
from sound_samples import RATE, tone
from test_audio_showing import SPECTRA, WAVES

from pipeline.kinds.audio.features import mel_edges, rows
from pipeline.kinds.audio.occlusion import hidden, num_parts, regions, spectral_recipe, told
from pipeline.kinds.audio.showing import shown_parts
from pipeline.kinds.showing import Parts

SPECTRAL = SPECTRA.details() | {"mean": np.linspace(-9, -1, 40).tolist()}


def test_bands_of_a_spectrogram_are_at_their_mean() -> None:
    [row] = rows(tone("low", seconds=0.5), RATE, SPECTRA)
    assert num_parts(row, SPECTRAL) == 49
    region = regions(SPECTRAL)[10]
    copy = hidden(row, 10, SPECTRAL, None)
    inside = np.zeros(row.shape, bool)
    inside[:, region.top : region.bottom, region.left : region.right] = True
    assert np.array_equal(copy[~inside], row[~inside])
    assert copy.dtype == row.dtype
    mean = np.array(SPECTRAL["mean"], np.float16)[region.top : region.bottom]
    assert np.array_equal(copy[0, region.top : region.bottom, region.left], mean)


def test_of_a_waveform_the_pitches_are_taken_out_for_a_while() -> None:
    time, fit = np.arange(4000) / RATE, WAVES.details()
    row = (np.sin(2 * np.pi * 300 * time) + np.sin(2 * np.pi * 2500 * time)).astype(np.float32)[None]
    recipe = spectral_recipe(WAVES)
    edges = mel_edges(recipe.mels or 0, recipe.low, recipe.high)
    part = next(
        i for i, region in enumerate(regions(fit)) if edges[region.top] < 300 < edges[region.bottom] and region.left > 15
    )
    copy, region = hidden(row, part, fit, None), regions(fit)[part]
    first, last = region.left / 48 * 4000, region.right / 48 * 4000
    changed = np.flatnonzero(copy[0] != row[0])
    assert abs(changed[0] - first) < 90
    assert abs(changed[-1] - last) < 90
    middle = slice(int(first + 150), int(last - 150))
    powers = [np.abs(np.fft.rfft(each[0, middle] * np.hanning(middle.stop - middle.start))) for each in (row, copy)]
    pitches = np.fft.rfftfreq(middle.stop - middle.start, 1 / RATE)
    low, high = (int(np.abs(pitches - pitch).argmin()) for pitch in (300, 2500))
    assert powers[1][low] < 0.1 * powers[0][low]
    assert abs(powers[1][high] - powers[0][high]) < 0.05 * powers[0][high]


def test_the_box_is_where_the_words_say() -> None:
    for recipe, fit in ((SPECTRA, SPECTRAL), (WAVES, WAVES.details())):
        [row] = rows(tone("low", seconds=0.5), RATE, recipe)
        strengths = np.zeros(49)
        strengths[6] = 1.0  # the lowest tones, at the end
        markup = shown_parts(row, fit, "a sound", Parts(strengths, ["12%"] * 49))
        heat = Image.open(io.BytesIO(base64.b64decode(re.findall(r"image/png;base64,([^\"]+)", markup)[1])))
        red, _, blue = heat.getpixel((heat.width - 8, heat.height - 8))
        assert red > blue + 60, "below, and to the right"
        assert told(regions(fit)[6], fit) in markup
        assert re.search(r"0\.3\d to 0\.4\d s, [02]0? to ", markup)
        assert "12%" in markup
        assert "<audio" in markup
