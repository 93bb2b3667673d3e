"""Sounds as networks take them, and sound files as a predictor does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sound_samples import TONES, build_sounds, encoded, tone, write_classes

from pipeline.errors import DataError
from pipeline.kinds.audio import inputs


def test_bands_have_mean_0_and_deviation_1_in_training_and_a_row_is_its_own(tmp_path: Path) -> None:
    dataset = build_sounds(write_classes(tmp_path / "data", 8), tmp_path / "built")
    manifest, stored = dataset.manifest, torch.from_numpy(np.array(dataset.split("train").inputs))
    cast = inputs.to_input(manifest.fit, manifest.shape, "cpu")
    made = cast(stored)
    assert (made.dtype, inputs.input_shape(manifest.fit, manifest.shape)) == (torch.float32, tuple(manifest.shape))
    np.testing.assert_allclose(made.mean((0, 1, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(made.std((0, 1, 3), correction=0), 1, atol=1e-3)
    assert torch.equal(cast(stored[3:4])[0], made[3])


def test_files_become_the_rows_that_prepare_stored(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", 8)
    dataset = build_sounds(root, tmp_path / "built")
    files = [root / label / "3.wav" for label in TONES]
    found = inputs.as_stored([files[0], str(files[1]), files[2].read_bytes()], dataset.manifest.fit)
    assert isinstance(found, torch.Tensor)
    every = np.concatenate([np.asarray(dataset.split(name).inputs) for name in ("train", "val", "test")])
    assert all((every == row.numpy()).all((1, 2, 3)).any() for row in found)
    inputs.check_inputs(found, tuple(dataset.manifest.shape))
    with pytest.raises(DataError, match=r"nothing\.wav: can't be read"):
        inputs.as_stored([tmp_path / "nothing.wav"], dataset.manifest.fit)
    with pytest.raises(DataError, match=r"^one sound, 'new/1\.wav', where several are expected; one sound is \[path\]$"):
        inputs.as_stored("new/1.wav", dataset.manifest.fit)
    with pytest.raises(DataError, match=r"^bytes: M4A .* make it FLAC and take the old file away: ffmpeg -i NAME\.m4a"):
        inputs.as_stored([b"\0\0\0\x20ftypM4A " + bytes(200)], dataset.manifest.fit)
    with pytest.raises(DataError, match=r"float32 and shape \(3, 1, 20, 38\): expected .* float16 .* `Predictor\.rows`"):
        inputs.check_inputs(found.float(), tuple(dataset.manifest.shape))


def test_recordings_become_their_windows(tmp_path: Path) -> None:
    dataset = build_sounds(write_classes(tmp_path / "data", 8, seconds=1.1), tmp_path / "built", window=0.5)
    found = inputs.as_stored([encoded(tone("low", seconds=s)) for s in (0.3, 1.1, 2.0)], dataset.manifest.fit)
    assert [len(rows) for rows in found] == [1, 3, 4]
