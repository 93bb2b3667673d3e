"""Spectrograms against published numbers, against slow loops, and against themselves elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from sound_samples import RATE, tone

from pipeline.kinds.audio.features import (
    FLOOR,
    Recipe,
    analysis,
    centred,
    log_mel,
    mel_bank,
    mel_edges,
    resampled,
    rows,
    windows,
)

RECIPE = Recipe(RATE, "mix", "soxr", 4000, None, 40, 200, 80, 20.0, 4000.0)


def test_mel_edges_are_those_that_are_published() -> None:
    """Ten filters from 300 to 8000 Hz at 16,000 a second: J. Lyons, "Mel Frequency Cepstral Coefficient (MFCC) tutorial", on
    practicalcryptography.com, whose mels are rounded to hundredths."""
    published = [300, 517.33, 781.90, 1103.97, 1496.04, 1973.32, 2554.33, 3261.62, 4122.63, 5170.76, 6446.70, 8000]
    np.testing.assert_allclose(mel_edges(10, 300, 8000), published, atol=0.05)
    bins = np.floor(513 * mel_edges(10, 300, 8000) / 16000)
    assert bins.tolist() == [9, 16, 25, 35, 47, 63, 81, 104, 132, 165, 206, 256]  # the same page


def test_1000_hz_are_1000_mel() -> None:
    """Stevens, Volkmann and Newman 1937; The HTK Book (Young et al. 2006), 5.4: Mel(f) = 2595 log10(1 + f / 700)."""
    [_, middle, _] = mel_edges(1, 0.0, 700 * (10 ** (2000 / 2595) - 1))
    assert middle == pytest.approx(1000, abs=0.03)


def test_a_band_is_a_triangle_between_the_peaks_beside_it() -> None:
    bank, edges = mel_bank(5, 512, 16000, 0.0, 8000.0), mel_edges(5, 0.0, 8000.0)
    for band in range(5):
        for place, frequency in enumerate(np.arange(257) * 16000 / 512):
            low, peak, high = edges[band : band + 3]
            one = (frequency - low) / (peak - low) if frequency <= peak else (high - frequency) / (high - peak)
            assert bank[place, band] == pytest.approx(max(0.0, one))


def test_no_band_is_empty_however_many_there_are() -> None:
    for rate, mels in ((8000, 40), (16000, 128), (44100, 256), (96000, 40)):
        bank, _ = analysis(
            Recipe(rate, "mix", "soxr", rate, None, mels, round(0.025 * rate), round(0.01 * rate), 0.0, rate / 2)
        )
        assert (bank.max(0) > 0).all(), (rate, mels)


def test_a_sine_of_full_scale_is_0_in_its_own_band_and_silence_is_the_floor() -> None:
    edges = mel_edges(40, 20.0, 4000.0)
    for band in (10, 25, 38):
        values = log_mel(np.sin(2 * np.pi * edges[band + 1] * np.arange(4000) / RATE).astype(np.float32), RECIPE)
        assert values.shape == (40, 48)
        assert (values.argmax(0)[2:-2] == band).all()
        assert np.abs(values[band]).max() < 1.0
    assert (log_mel(np.zeros(4000, np.float32), RECIPE) == np.float32(np.log(np.float32(FLOOR)))).all()


def test_log_mel_is_that_of_a_slow_loop() -> None:
    samples = tone("both", seconds=0.5)
    bank, window = analysis(RECIPE)
    found = log_mel(samples, RECIPE)
    for column in (0, 7, 47):
        frame = samples[80 * column : 80 * column + 200].astype(np.float64) * window
        angles = 2j * np.pi * np.outer(np.arange(129), np.arange(200)) / 256
        power = np.abs(np.exp(-angles) @ frame) ** 2
        np.testing.assert_allclose(found[:, column], np.log(np.maximum(power @ bank, FLOOR)), atol=2e-3)


def test_clips_are_cut_to_their_middle_or_filled_up_at_both_ends() -> None:
    samples = np.arange(1, 11, dtype=np.float32)
    assert centred(samples, 4).tolist() == [4, 5, 6, 7]
    assert centred(samples, 5).tolist() == [3, 4, 5, 6, 7]
    assert centred(samples, 10) is not samples
    assert centred(samples, 13).tolist() == [0, *range(1, 11), 0, 0]


def test_windows_hold_all_of_a_recording() -> None:
    samples = np.arange(1, 11, dtype=np.float32)
    assert [part.tolist() for part in windows(samples, 4, 4)] == [[1, 2, 3, 4], [5, 6, 7, 8], [7, 8, 9, 10]]
    assert [part[0] for part in windows(samples, 4, 3)] == [1, 4, 7]
    assert [part.tolist() for part in windows(samples[:3], 5, 2)] == [[0, 1, 2, 3, 0]]
    assert len(windows(samples, 10, 1)) == 1


@pytest.mark.parametrize("resampler", ["soxr", "scipy"])
def test_a_tone_stays_itself_at_another_rate(resampler: str) -> None:
    def sine(rate: int) -> np.ndarray:
        return np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)

    for rate in (8000, 44100, 96000):
        found = resampled(sine(rate), rate, 16000, resampler)
        assert found.dtype == np.float32
        assert np.abs(found[500:-500] - sine(16000)[500:-500]).max() < 5e-3, rate
        assert np.array_equal(found, resampled(sine(rate), rate, 16000, resampler))
    above = np.sin(2 * np.pi * 6000 * np.arange(16000) / 16000).astype(np.float32)  # above half of the new rate: is taken out
    assert np.abs(resampled(above, 16000, 8000, resampler)[500:-500]).max() < 0.05


def test_rows_have_the_shape_and_type_of_the_recipe() -> None:
    [row] = rows(tone("low", seconds=0.3), RATE, RECIPE)
    assert (row.shape, row.dtype) == (RECIPE.shape, RECIPE.dtype) == ((1, 40, 48), np.float16)
    wave = Recipe(RATE, "mix", "soxr", 1000, 500, None)
    made = rows(tone("low", seconds=0.3), RATE, wave)
    assert [(part.shape, part.dtype) for part in made] == [((1, 1000), np.float32)] * 4
    assert Recipe.of(wave.details()) == wave
