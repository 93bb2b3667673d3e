"""Sounds on a page: a picture and a player of limited size, and the sheet of a policy."""

from __future__ import annotations

import base64
import io
import re
import wave

import numpy as np
import pytest
from PIL import Image
from sound_samples import RATE, audio_policy, tone

from pipeline.kinds.audio.features import Recipe, log_mel, rows
from pipeline.kinds.audio.rebuilt import rebuilt
from pipeline.kinds.audio.showing import MOST_SECONDS, preview, shown
from pipeline.kinds.showing import Examples

SPECTRA, WAVES = (Recipe(RATE, "mix", "soxr", 4000, None, mels, 200, 80, 20.0, 4000.0) for mels in (40, None))


def parts(markup: str) -> tuple[Image.Image, np.ndarray, int]:
    """The picture, the player's samples and their rate."""
    png, wav = (base64.b64decode(found) for found in re.findall(r"base64,([^\"]+)\"", markup))
    with wave.open(io.BytesIO(wav)) as file:
        return Image.open(io.BytesIO(png)), np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()


@pytest.mark.parametrize("recipe", [SPECTRA, WAVES])
def test_a_picture_over_a_player(recipe: Recipe) -> None:
    [row] = rows(tone("low", seconds=0.5), RATE, recipe)
    markup = shown(row, recipe.details(), '"<b>"')
    picture, samples, rate = parts(markup)
    assert picture.size == (48, 40)
    assert rate == RATE
    assert abs(len(samples) - 4000) < 80
    assert "<b>" not in markup
    spectrum = np.abs(np.fft.rfft(samples))
    assert abs(spectrum.argmax() * RATE / len(samples) - 300) < 40  # the tone that was put in


def test_of_recordings_the_first_window_and_of_long_sounds_the_beginning() -> None:
    recipe = Recipe(44100, "mix", "soxr", 44100 * 5, None, 40, 1102, 441, 20.0, 22050.0)
    row = np.zeros(recipe.shape, np.float16)
    row[:, 5] = -1
    _, samples, rate = parts(shown(np.stack([row, row]), recipe.details(), "long"))
    assert rate < 16_000
    assert len(samples) / rate == pytest.approx(MOST_SECONDS, abs=0.01)


def test_a_rebuilt_sound_has_the_spectrogram_that_it_was_made_of() -> None:
    values = log_mel(tone("both", seconds=0.5), SPECTRA)
    again = log_mel(np.resize(rebuilt(values, SPECTRA), 4000), SPECTRA)
    loud = values > values.max() - 6  # where there is something to hear
    assert np.abs(again - values)[loud].mean() < 0.5  # 2 dB
    assert np.array_equal(rebuilt(values, SPECTRA), rebuilt(values, SPECTRA))


@pytest.mark.parametrize(("recipe", "changes"), [(SPECTRA, {}), (WAVES, {"time_mask": 0.0, "mel_mask": 0.0, "speed": 0.1})])
def test_the_sheet_of_a_policy_is_the_same_every_time(recipe: Recipe, changes: dict[str, float]) -> None:
    made = [rows(tone(label), RATE, recipe)[0] for label in ("low", "high")]
    examples = Examples(made, np.array([3, 9], np.uint64), ["low", "high"])
    first, second = (preview(examples, audio_policy(**changes)) for _ in range(2))
    assert first is not None
    assert first == second
    wide, high = Image.open(io.BytesIO(first)).size
    off = preview(examples, audio_policy(strength=0.0))
    assert off is not None
    assert Image.open(io.BytesIO(off)).size[0] < wide
    assert high > 100
