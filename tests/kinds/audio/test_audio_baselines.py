"""What a simple method sees of sounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sound_samples import RATE, build_sounds, tone, write_classes

from pipeline.baselines.fitting import _features, fitted_baselines
from pipeline.kinds.audio.baselines import baselines, statistics
from pipeline.kinds.audio.features import Recipe, rows

SPECTRA, WAVES = (Recipe(RATE, "mix", "soxr", 3200, None, mels, 200, 80, 0.0, 4000.0) for mels in (40, None))


def test_means_deviations_changes_and_parts_of_the_time() -> None:
    values = np.random.default_rng(0).normal(size=(3, 5, 8)).astype(np.float32)
    found = statistics(values).reshape(3, 7, 5)
    assert found.dtype == np.float32
    for clip, own in zip(values, found, strict=True):
        expected = [clip.mean(1), clip.std(1), np.abs(clip[:, 1:] - clip[:, :-1]).mean(1)]
        expected += [clip[:, at : at + 2].mean(1) for at in (0, 2, 4, 6)]
        np.testing.assert_allclose(own, expected, atol=1e-6)


def test_waveforms_are_seen_by_their_spectrograms() -> None:
    sounds = [tone(label, i) for i, label in enumerate(("low", "high", "both"))]
    seen = []
    for recipe in (SPECTRA, WAVES):
        [one] = baselines(recipe.details(), recipe.shape)
        assert (one.name, one.method) == ("log-mel", "linear")
        seen.append(one.features(np.stack([rows(sound, RATE, recipe)[0] for sound in sounds])))
    np.testing.assert_allclose(seen[0], seen[1], atol=0.02)


def test_of_recordings_a_file_is_seen_as_the_mean_of_its_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGATTA_RUNS", str(tmp_path / "runs"))
    data = build_sounds(write_classes(tmp_path / "data", 20, seconds=0.6), tmp_path / "built", window=0.3, hop=0.2)
    test = data.split("test")
    assert test.num_rows.tolist() == [3] * len(test)
    fitted = fitted_baselines(data)
    assert fitted is not None
    assert fitted.chosen.words.endswith("4 parts of the time) of each window, averaged over its file")
    assert fitted.answers.shape == (len(test),)
    assert (fitted.answers == test.labels).mean() > 0.95
    [seen] = baselines(data.manifest.fit, data.manifest.shape)
    first = np.mean([seen.features(test.sample(1)[i : i + 1])[0] for i in range(3)], axis=0)
    np.testing.assert_allclose(_features(seen, test, np.array([1]))[0], first, rtol=1e-5)
