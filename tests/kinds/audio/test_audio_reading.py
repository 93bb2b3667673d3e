"""Sounds of folders and tables as datasets: one rate, one length, windows, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_samples import write_table
from sound_samples import AUDIO, RATE, TONES, build_sounds, encoded, tone, write_classes

from pipeline.errors import ConfigError, DataError
from pipeline.kinds.audio.features import Recipe, rows
from pipeline.kinds.audio.keys import AudioData
from pipeline.schema.base import validated


def test_a_folder_per_class(tmp_path: Path) -> None:
    write_classes(tmp_path / "data", 10)
    (tmp_path / "data" / "low" / "cover.png").write_bytes(b"\x89PNG")
    (tmp_path / "data" / "README.txt").write_text("recorded in May")
    one, other = (build_sounds(tmp_path / "data", tmp_path / f"of {n}", workers=n) for n in (1, 2))
    manifest = one.manifest
    assert (manifest.kind, manifest.source, manifest.classes) == ("audio", "folder", ["both", "high", "low"])
    assert (manifest.shape, manifest.dtype, manifest.counts) == ([1, 20, 38], "float16", {"train": 23, "val": 4, "test": 3})
    assert manifest.fit["recipe"] == Recipe(RATE, "mix", "soxr", 3200, None, 20, 200, 80, 20.0, 4000.0).details()["recipe"]
    [length, beside] = manifest.notes[:2] if "clips" in manifest.notes[0] else manifest.notes[1::-1]
    assert length == (
        "clips of 0.40 to 0.40 seconds are stored as 0.4 (data.length): none is cut; shorter ones get silence at both ends"
    )
    assert beside == "files of other kinds beside the samples, so not read: 2 files (README.txt, cover.png)"
    for split in ("train", "val", "test"):
        assert np.array_equal(one.split(split).inputs, other.split(split).inputs)
    stored = np.asarray(one.split("train").inputs, np.float64)
    np.testing.assert_allclose(manifest.fit["mean"], stored.mean((0, 1, 3)), rtol=1e-6)
    np.testing.assert_allclose(manifest.fit["std"], stored.std((0, 1, 3)), rtol=1e-6)


def test_a_sample_is_what_its_file_says_whatever_is_beside_it(tmp_path: Path) -> None:
    write_classes(tmp_path / "data", 10)
    dataset = build_sounds(tmp_path / "data", tmp_path / "built")
    recipe, train = Recipe.of(dataset.manifest.fit), dataset.split("train")
    names = pq.read_table(tmp_path / "built" / "train" / "samples.parquet")["source"].to_pylist()
    for place in (0, 7, 22):
        label, file = names[place].split("/")
        read = np.round(tone(label, int(file.removesuffix(".wav"))) * 32768) / 32768
        [row] = rows(read.astype(np.float32), RATE, recipe)
        np.testing.assert_allclose(np.asarray(train.inputs[place], np.float32), row.astype(np.float32), atol=0.02)


def test_the_most_frequent_rate_channels_and_lengths_are_told(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", 20)
    (root / "low" / "fast.wav").write_bytes(encoded(tone("low", 99, rate=96_000), 96_000, subtype="PCM_24"))
    (root / "low" / "two.wav").write_bytes(encoded(np.stack([tone("low", 98)] * 2, 1)))
    (root / "low" / "long.wav").write_bytes(encoded(tone("low", 97, seconds=1.5)))
    manifest = build_sounds(root, tmp_path / "built").manifest
    assert manifest.fit["recipe"]["rate"] == RATE
    assert manifest.shape == [1, 20, 88]  # 99 of 100: between 0.4 and 1.5
    told = "\n".join(manifest.notes)
    assert "1 of 63 sounds have other rates than 8000 a second: resampled (soxr)" in told
    assert "1 of 63 sounds have several channels: their mean is taken (data.channel)" in told
    assert "clips of 0.40 to 1.50 seconds are stored as 0.9 (data.length): 1 of 63 is cut to their middle, 2.3% of all" in told
    same = build_sounds(root, tmp_path / "scipy", resampler="scipy", rate=4000, length=0.5).manifest
    assert "63 of 63 sounds have other rates than 4000 a second: resampled (scipy)" in "\n".join(same.notes)
    assert same.digest != manifest.digest


def test_what_can_not_be_read_is_listed(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", 10)
    (root / "low" / "song.m4a").write_bytes(b"\0\0\0\x20ftypM4A \0\0\2\0" + b"m" * 99)
    (root / "low" / "silent.wav").write_bytes(encoded(np.zeros(800, np.float32)))
    (root / "low" / "tape.wav").write_bytes(encoded(tone("low", seconds=61)))
    dataset = build_sounds(root, tmp_path / "built", {"max_bad_fraction": 0.2})
    listed = (tmp_path / "built" / "rejected.csv").read_text()
    assert dataset.manifest.num_rejected == 3
    assert "ffmpeg -i NAME.m4a NAME.flac" in listed
    assert "silent: all its samples are the same" in listed
    assert "61 seconds are more than data.max_seconds = 60" in listed


def test_lengths_that_differ_as_recordings_do_need_a_word(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", 4)
    (root / "low" / "long.wav").write_bytes(encoded(tone("low", seconds=50)))
    with pytest.raises(DataError, match=r"0\.40 to 50\.00 seconds long, .* `regatta run data\.window=2` cuts recordings"):
        build_sounds(root, tmp_path / "built")


def test_windows_inherit_label_group_and_split_and_files_are_counted(tmp_path: Path) -> None:
    header = [["audio", "label", "speaker"]]
    for i in range(40):
        label, speaker = list(TONES)[i % 3], f"s{i % 8}"
        (tmp_path / f"{i}.flac").write_bytes(encoded(tone(label, i, seconds=0.5 + i / 10), format="FLAC"))
        header.append([f"{i}.flac", label, speaker])
    write_table(tmp_path / "list.csv", header)
    dataset = build_sounds(tmp_path / "list.csv", tmp_path / "built", window=0.5, hop=0.25, group="speaker")
    manifest = dataset.manifest
    assert sum(manifest.counts.values()) == 40
    assert manifest.windows is not None
    assert (manifest.windows[0], manifest.windows[-1]) == (1, 17)
    assert any("are cut into windows of 0.5, one every 0.25: 1 to 17 of a recording" in note for note in manifest.notes)
    of: dict[str, set[str]] = {}
    for split in ("train", "val", "test"):
        part = dataset.split(split)
        sources = pq.read_table(tmp_path / "built" / split / "samples.parquet")["source"].to_pylist()
        for source in sources:
            number = int(source.split(".")[0])
            of.setdefault(f"s{number % 8}", set()).add(split)
        firsts = np.load(tmp_path / "built" / split / "rows.npy")
        lengths = [0.5 + int(source.split(".")[0]) / 10 for source in sources]
        assert np.diff(firsts).tolist() == [1 + int(np.ceil(round((length - 0.5) / 0.25, 6))) for length in lengths]
        assert part.inputs.shape[0] == firsts[-1]
    assert all(len(splits) == 1 for splits in of.values())


def test_parquet_with_bytes_and_arrays(tmp_path: Path) -> None:
    labels = [list(TONES)[i % 3] for i in range(30)]
    files = [{"bytes": encoded(tone(label, i)), "path": None} for i, label in enumerate(labels)]
    pq.write_table(pa.table({"audio": files, "label": labels}), tmp_path / "files.parquet")
    arrays = [np.round(tone(label, i) * 32768).astype(np.int16) for i, label in enumerate(labels)]
    pq.write_table(pa.table({"audio": arrays, "label": labels}), tmp_path / "arrays.parquet")
    one = build_sounds(tmp_path / "files.parquet", tmp_path / "one")
    other = build_sounds(tmp_path / "arrays.parquet", tmp_path / "other", rate=RATE)
    assert one.manifest.shape == other.manifest.shape == [1, 20, 38]
    assert sorted(np.asarray(one.split("train").inputs, np.float32).sum((1, 2, 3)).round(-1)) == sorted(
        np.asarray(one.split("train").inputs, np.float32).sum((1, 2, 3)).round(-1)
    )
    with pytest.raises(DataError):
        build_sounds(tmp_path / "arrays.parquet", tmp_path / "third")
    assert "an array does not say how many samples a second are; set data.rate" in (tmp_path / "rejected.csv").read_text()


def test_waveforms(tmp_path: Path) -> None:
    dataset = build_sounds(write_classes(tmp_path / "data", 6), tmp_path / "built", features="waveform", length=0.3)
    assert (dataset.manifest.shape, dataset.manifest.dtype) == ([1, 2400], "float32")
    stored = np.asarray(dataset.split("train").inputs, np.float64)
    np.testing.assert_allclose([dataset.manifest.fit["mean"], dataset.manifest.fit["std"]], [[stored.mean()], [stored.std()]])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"window": 1.0, "length": 1.0}, "length is of clips, and window of recordings; set one of them"),
        ({"hop": 1.0}, "hop is the way from window to window, and there are none; set window"),
        ({"hop": 2.0, "window": 1.0}, "hop = 2 is longer than window = 1: what lies between is never heard"),
        ({"step": 0.03}, "step = 0.03 is longer than frame = 0.025"),
        ({"high": 10.0}, "high = 10 is not above low = 20"),
    ],
)
def test_keys_that_contradict_each_other(changes: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        validated(AudioData, AUDIO | changes, "data")


def test_bands_above_half_of_the_rate_are_refused(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", 6)
    with pytest.raises(DataError, match=r"data\.high = 8000: at 8000 samples a second there is nothing above 4000 Hz"):
        build_sounds(root, tmp_path / "one", high=8000.0)
    with pytest.raises(DataError, match=r"data\.frame = 0\.5 is longer than a whole row, 0\.4 seconds"):
        build_sounds(root, tmp_path / "other", frame=0.5)
