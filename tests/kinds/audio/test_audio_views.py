"""Augmented sounds: the same in any batch, what the keys say, and never more."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sound_samples import RATE, audio_policy, tone

from pipeline.errors import ConfigError
from pipeline.keyed import U64
from pipeline.kinds.audio.features import FLOOR, Recipe, rows
from pipeline.kinds.audio.keys import AudioPolicy
from pipeline.kinds.audio.views import advised, batch_views, check_policy, view_parameters
from pipeline.kinds.views import policy_digest

SPECTRA, WAVES = (Recipe(RATE, "mix", "soxr", 3200, None, mels, 200, 80, 20.0, 4000.0) for mels in (20, None))
IDS: U64 = np.arange(100, 164, dtype=np.uint64)
NUMBERS = np.arange(64) % 5
OFF = {"shift": 0.0, "gain": 0.0, "noise": 0.0, "speed": 0.0, "time_mask": 0.0, "mel_mask": 0.0}
WAVE = {"time_mask": 0.0, "mel_mask": 0.0, "speed": 0.1}


def sounds(recipe: Recipe, num: int = 64) -> torch.Tensor:
    made = [rows(tone(("low", "high", "both")[i % 3], i), RATE, recipe)[0] for i in range(num)]
    return torch.from_numpy(np.stack(made))


def fitted(stored: torch.Tensor) -> dict[str, list[float]]:
    values = stored.double()
    over = (0, 1, 3) if stored.dim() == 4 else (0, 1, 2)
    return {key: getattr(values, key)(over).reshape(-1).tolist() for key in ("mean", "std")}


@pytest.mark.parametrize(("recipe", "changes"), [(SPECTRA, {}), (WAVES, WAVE)])
def test_a_view_is_the_same_in_any_batch(recipe: Recipe, changes: dict[str, float]) -> None:
    stored, policy = sounds(recipe), audio_policy(**changes)
    fit = fitted(stored)
    whole = batch_views(stored, IDS, NUMBERS, policy, fit)
    assert (whole.shape, whole.dtype) == (stored.shape, stored.dtype)
    assert not torch.equal(whole, stored)
    assert len(batch_views(stored[:0], IDS[:0], NUMBERS[:0], policy, fit)) == 0  # a shard of a small last batch
    for size in (1, 3, 7):
        parts = [
            batch_views(stored[at : at + size], IDS[at : at + size], NUMBERS[at : at + size], policy, fit)
            for at in range(0, 64, size)
        ]
        assert torch.equal(torch.cat(parts), whole), size
    other = batch_views(stored, IDS, NUMBERS + 1, policy, fit)
    assert not any(torch.equal(one, two) for one, two in zip(whole, other, strict=True))
    assert not torch.equal(batch_views(stored, IDS, NUMBERS, audio_policy(seed=1, **changes), fit), whole)


def one_view(stored: torch.Tensor, **on: float) -> tuple[torch.Tensor, AudioPolicy]:
    policy = audio_policy(**OFF | on)
    return batch_views(stored, IDS, NUMBERS, policy, fitted(stored)), policy


def test_a_shift_moves_whole_columns_and_lets_silence_in() -> None:
    stored = sounds(SPECTRA)
    views, policy = one_view(stored, shift=0.3)
    shifts = view_parameters(IDS, NUMBERS, policy, stored.shape[1:]).shift
    assert shifts.min() < -5 < 5 < shifts.max()
    assert np.abs(shifts).max() <= round(0.3 * stored.shape[-1])
    for row, view, shift in zip(stored, views, shifts.tolist(), strict=True):
        expected = torch.full_like(row, row.min())
        inside = slice(max(0, shift), row.shape[-1] + min(0, shift))
        expected[..., inside] = row[..., max(0, -shift) : row.shape[-1] - max(0, shift)]
        assert torch.equal(view, expected)


def test_loudness_changes_all_bands_by_the_same_decibels_but_silence_stays_silent() -> None:
    stored = sounds(SPECTRA)
    views, policy = one_view(stored, gain=6.0)
    gain = view_parameters(IDS, NUMBERS, policy, stored.shape[1:]).gain
    assert 4 < np.abs(gain).max() <= 6
    loud = stored > -10
    changes = ((views - stored).float() * loud).sum((1, 2, 3)) / loud.sum((1, 2, 3))
    np.testing.assert_allclose(10 * changes / np.log(10), gain, atol=0.02)
    assert float(views.min()) >= np.log(FLOOR) - 0.01


def test_masks_blank_stretches_and_bands_with_the_mean_and_leave_the_rest() -> None:
    stored = sounds(SPECTRA)
    views, policy = one_view(stored, time_mask=0.3, mel_mask=0.3)
    drawn = view_parameters(IDS, NUMBERS, policy, stored.shape[1:])
    mean = torch.tensor(fitted(stored)["mean"]).half()[None, :, None]
    assert (drawn.times.shape, drawn.mels.shape) == ((64, 2, 2), (64, 1, 2))
    widths = drawn.times[..., 1] - drawn.times[..., 0]
    assert (widths.min(), widths.max()) == (0, 11)  # of 38 columns, 0.3: 11
    for row, view, times, bands in zip(stored, views, drawn.times, drawn.mels, strict=True):
        expected = row.clone()
        for first, last in times.tolist():
            expected[:, :, first:last] = mean
        for first, last in bands.tolist():
            expected[:, first:last] = mean[:, first:last]
        assert torch.equal(view, expected)


def test_noise_has_the_deviation_that_was_drawn() -> None:
    stored = torch.zeros(64, 1, 20, 500).half()
    fit = {"mean": [0.0] * 20, "std": [1.0] * 10 + [2.0] * 10}
    policy = audio_policy(**OFF | {"noise": 0.5})
    views = batch_views(stored, IDS, NUMBERS, policy, fit).float()
    shares = view_parameters(IDS, NUMBERS, policy, stored.shape[1:]).noise
    assert shares.max() <= 0.5
    for half, factor in ((views[:, :, :10], 1), (views[:, :, 10:], 2)):
        np.testing.assert_allclose(half.std((1, 2, 3)), factor * shares, rtol=0.05, atol=1e-3)
    assert abs(float(views.mean())) < 0.01


def test_speed_plays_around_the_middle_and_beyond_the_ends_is_silence() -> None:
    time = torch.arange(3200, dtype=torch.float64)
    stored = (time / 3200).float().repeat(64, 1, 1)  # a ramp says where each sample comes from
    views, policy = one_view(stored, speed=0.2)
    speed = view_parameters(IDS, NUMBERS, policy, stored.shape[1:]).speed
    assert 0.8 <= speed.min() < 0.85 < 1.15 < speed.max() <= 1.2
    for view, factor in zip(views[:, 0], speed.tolist(), strict=True):
        places = (time - 1599.5) * factor + 1599.5
        inside = (places > 0) & (places < 3198)
        np.testing.assert_allclose(view[inside], (places / 3200)[inside], atol=1e-6)
        assert not view[(places < -1) | (places > 3200)].any()


def test_operations_of_the_other_form_are_refused_with_the_file_that_suits() -> None:
    with pytest.raises(ConfigError, match=r"augment\.time_mask = 0\.3: the data is stored as waveforms .* augment=waveform"):
        check_policy(audio_policy(), (1, 3200))
    with pytest.raises(ConfigError, match=r"augment\.speed = 0\.1: the data is stored as spectrograms .* `augment\.speed=0`"):
        check_policy(audio_policy(speed=0.1), (1, 20, 38))
    check_policy(audio_policy(), (1, 20, 38))
    check_policy(audio_policy(**WAVE), (1, 3200))


def test_identity_and_strength() -> None:
    assert policy_digest("audio", audio_policy()) == policy_digest("audio", audio_policy(views=4))
    assert policy_digest("audio", audio_policy()) != policy_digest("audio", audio_policy(time_masks=1))
    half = audio_policy(strength=0.5).scaled()
    assert (half.shift, half.gain, half.time_mask, half.strength) == (0.1, 3.0, 0.15, 1.0)
    assert not audio_policy(strength=0.0).active
    assert not audio_policy(**OFF).active


def test_what_is_advised_against_overfitting() -> None:
    assert advised((1, 20, 38), audio_policy(**OFF))[0][1] == {"augment": "audio"}
    assert advised((1, 3200), audio_policy(**OFF))[0][1] == {"augment": "waveform"}
    assert advised((1, 20, 38), audio_policy(strength=0.5))[0][1] == {"augment.strength": 1.0}
    assert advised((1, 20, 38), audio_policy(noise=0.0))[0][1] == {"augment.noise": 0.2}
    assert not advised((1, 20, 38), audio_policy())
