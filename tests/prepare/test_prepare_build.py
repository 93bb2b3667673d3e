from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from data_samples import class_folders, data_config, encoded, file_bytes, picture, placed, prepare_config, rejected

from pipeline import keyed
from pipeline.artifacts import read_csv
from pipeline.data.dataset import Dataset
from pipeline.errors import DataError, StorageError
from pipeline.prepare import build as building
from pipeline.prepare import parallel, raw, scan, writing
from pipeline.prepare.build import build_dataset, dataset_digest

REASON = "not an image of a format that can be read"
Build = Callable[..., Dataset]
SPLITS = ("train", "val", "test")


def test_digits(build: Build) -> None:
    from sklearn.datasets import load_digits

    dataset = build("digits")
    assert dataset.manifest.classes == [str(i) for i in range(10)]
    assert (dataset.manifest.shape, dataset.manifest.dtype) == ([1, 8, 8], "uint8")
    assert sum(dataset.manifest.counts.values()) == 1797
    digits = load_digits()
    part = dataset.split("test")
    rows = [int(name.removeprefix("digits:")) for name in dataset.sources("test")]
    assert (np.abs(part.inputs[:, 0] / 255 - digits.images[rows] / 16) <= 0.5 / 255).all()
    assert (part.labels == digits.target[rows]).all()


def test_same_bytes_for_any_number_of_workers_and_order_of_listing(
    tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    class_folders(tmp_path / "a", 40)
    (tmp_path / "a" / "cat" / "bad.png").write_bytes(b"no")
    (tmp_path / "a" / "cat" / "copy.png").write_bytes((tmp_path / "a" / "cat" / "1.png").read_bytes())
    names = [file.relative_to(tmp_path / "a") for file in (tmp_path / "a").rglob("*.png")]
    for name in sorted(names, key=str, reverse=True):  # created in another order, so listed in another by most file systems
        (tmp_path / "b" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "b" / name).write_bytes((tmp_path / "a" / name).read_bytes())
    lenient = {"max_bad_fraction": 0.5}
    alone = file_bytes(build("folder", lenient, path=str(tmp_path / "a")))
    shuffled_scandir(monkeypatch)
    assert file_bytes(build("folder", lenient, path=str(tmp_path / "b"))) == alone
    monkeypatch.setattr(raw, "PORTION_SAMPLES", 3)
    monkeypatch.setattr(parallel, "PATIENCE_S", 0.0)
    monkeypatch.setattr(writing, "GATHER_BYTES", 500)
    assert file_bytes(build("folder", lenient, workers=3, path=str(tmp_path / "a"))) == alone
    assert set(alone) == {f"{s}/{f}" for s in SPLITS for f in ("inputs.npy", "labels.npy", "ids.npy", "samples.parquet")} | {
        "dataset.json",
        "rejected.csv",
    }


def shuffled_scandir(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = os.scandir

    class Reversed:
        def __init__(self, path: Any) -> None:
            with listed(path) as entries:
                self.entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self) -> Any:
            return iter(self.entries)

        def __exit__(self, *error: object) -> None: ...

    monkeypatch.setattr(os, "scandir", Reversed)


def test_stored_order_and_ids_follow_the_contract(tmp_path: Path, build: Build) -> None:
    dataset = build("folder", path=str(class_folders(tmp_path, 40)))
    for split in SPLITS:
        part = dataset.split(split)
        assert np.array_equal(keyed.storage_order(part.ids), np.arange(len(part)))
        for number, name in zip(part.ids.tolist(), dataset.sources(split), strict=True):
            assert number == keyed.content_id((tmp_path / name).read_bytes())
        table = pq.read_table(dataset.path / split / "samples.parquet")
        assert table.column_names == ["id", "source"]
        assert table["id"].to_pylist() == part.ids.tolist()


def test_the_manifest_tells_the_truth(tmp_path: Path, build: Build) -> None:
    dataset = build("folder", path=str(class_folders(tmp_path, 40, ("a", "b", "c"))))
    manifest = dataset.manifest
    for split in SPLITS:
        part = dataset.split(split)
        assert manifest.counts[split] == len(part)
        assert manifest.class_counts[split] == np.bincount(part.labels, minlength=3).tolist()
    pixels = dataset.split("train").inputs.astype(np.float64) / 255
    assert manifest.fit["mean"] == pytest.approx(pixels.mean((0, 2, 3)).tolist(), rel=1e-12)
    assert manifest.fit["std"] == pytest.approx(pixels.std((0, 2, 3)).tolist(), rel=1e-12)
    assert not isinstance(dataset.split("train").inputs.base, np.ndarray) or not dataset.split("train").inputs.flags.writeable


def test_a_constant_channel_is_noted(tmp_path: Path, build: Build) -> None:
    from PIL import Image

    for c, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        for i in range(10):
            content = encoded(Image.new("L", (4, 4), 7), "PNG", compress_level=i % 10) + bytes([c, i])
            (tmp_path / name / f"{i}.png").write_bytes(content)
    assert "a channel has the same value in every training sample" in build("folder", path=str(tmp_path)).manifest.notes


def test_adding_photos_moves_no_old_one(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path, 80)
    before = build("folder", path=str(tmp_path))
    class_folders(tmp_path, 40, start=200)
    after = build("folder", path=str(tmp_path))
    assert placed(before).items() <= placed(after).items()
    assert before.manifest.digest != after.manifest.digest


def test_exact_copies_do_not_straddle_and_have_own_ids(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path, 40)
    for i in range(20):
        content = (tmp_path / "cat" / f"{i}.png").read_bytes()
        for n in range(2):
            (tmp_path / "cat" / f"copy{n} of {i}.png").write_bytes(content)
    dataset = build("folder", path=str(tmp_path))
    where = placed(dataset)
    assert all(where[f"cat/{i}.png"] == where[f"cat/copy{n} of {i}.png"] for i in range(20) for n in range(2))
    ids = np.concatenate([dataset.split(split).ids for split in SPLITS])
    assert len(np.unique(ids)) == len(ids) == 120
    assert "40 samples are exact copies of others in their split" in dataset.manifest.notes
    assert rejected(dataset) == {}


def test_training_copies_of_test_samples_are_dropped_and_listed(tmp_path: Path, build: Build) -> None:
    for i, split in enumerate(SPLITS):
        class_folders(tmp_path / split, 10, start=100 * i)
    original = (tmp_path / "test" / "cat" / "200.png").read_bytes()
    (tmp_path / "train" / "dog" / "copy.png").write_bytes(original)
    (tmp_path / "val" / "cat" / "copy.png").write_bytes(original)
    (tmp_path / "train" / "cat" / "copy.png").write_bytes((tmp_path / "val" / "cat" / "100.png").read_bytes())
    dataset = build("folder", path=str(tmp_path))
    assert dataset.manifest.counts == {"train": 20, "val": 20, "test": 20}
    assert rejected(dataset) == {
        "train/cat/copy.png": "exact copy of val/cat/100.png in the val split",
        "train/dog/copy.png": "exact copy of test/cat/200.png in the test split",
        "val/cat/copy.png": "exact copy of test/cat/200.png in the test split",
    }
    assert dataset.manifest.num_rejected == 3
    assert dataset.manifest.num_read == 63


def test_one_content_with_two_labels_is_listed_and_kept(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path, 40)
    (tmp_path / "dog" / "really a cat.png").write_bytes((tmp_path / "cat" / "3.png").read_bytes())
    dataset = build("folder", path=str(tmp_path))
    reason = "taken, but the same content has the labels cat, dog"
    assert rejected(dataset) == {"cat/3.png": reason, "dog/really a cat.png": reason}
    assert dataset.manifest.num_rejected == 0
    assert len({placed(dataset)[name] for name in rejected(dataset)}) == 1
    assert "2 samples share their content with a sample of another label (see rejected.csv)" in dataset.manifest.notes


def test_digests_are_of_contents_not_of_places(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path / "a", 20)
    here = build("folder", path=str(tmp_path / "a")).manifest
    (tmp_path / "a").rename(tmp_path / "b c")
    (tmp_path / "b c" / "cat" / "0.png").rename(tmp_path / "b c" / "cat" / "renamed.png")
    there = build("folder", path=str(tmp_path / "b c")).manifest
    changed = [name for name, digest in there.files.items() if digest != here.files[name]]
    assert [Path(name).name for name in changed] == ["samples.parquet"]  # which has the names
    assert replace(here, files={}) == replace(there, files={})
    (tmp_path / "b c" / "cat" / "1.png").rename(tmp_path / "b c" / "dog" / "was a cat.png")
    relabelled = build("folder", path=str(tmp_path / "b c")).manifest
    assert relabelled.source_digest != there.source_digest


def test_every_key_and_the_code_are_part_of_the_digest() -> None:
    data, prepare = data_config("folder", path="a"), prepare_config()
    base = dataset_digest(data, prepare, "contents", "code")
    assert dataset_digest(data_config("folder", path="b"), prepare, "contents", "code") == base
    others = [
        dataset_digest(data_config("folder", path="a", size=8), prepare, "contents", "code"),
        dataset_digest(data_config("folder", path="a", resize="crop"), prepare, "contents", "code"),
        dataset_digest(data, prepare_config(split_seed=1), "contents", "code"),
        dataset_digest(data, prepare_config(limit=9), "contents", "code"),
        dataset_digest(data, prepare, "other", "code"),
        dataset_digest(data, prepare, "contents", "other"),
    ]
    assert len({base, *others}) == 7


def test_a_limit_keeps_every_class_and_says_so(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path, 40, ("a", "b", "c"))
    dataset = build("folder", {"limit": 12}, path=str(tmp_path))
    assert sum(dataset.manifest.counts.values()) == 12
    assert all(all(counts) for counts in dataset.manifest.class_counts.values())
    assert "prepare.limit took 12 of 120 (10 %) samples" in dataset.manifest.notes
    whole = build("folder", path=str(tmp_path))
    assert set(placed(dataset)) <= set(placed(whole))


def test_small_classes_and_missing_ones_are_noted(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path, 40)
    class_folders(tmp_path, 2, ("rare",), start=500)
    notes = build("folder", path=str(tmp_path)).manifest.notes
    assert "too few samples to split by content alone, so dealt out by rank: 1 class (rare)" in notes
    assert "val has no sample of 1 class (rare)" in notes


def test_a_class_that_can_not_be_read_is_noted(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path, 40)
    (tmp_path / "eel").mkdir()
    (tmp_path / "eel" / "a.png").write_bytes(b"no")
    notes = build("folder", {"max_bad_fraction": 0.1}, path=str(tmp_path)).manifest.notes
    assert "not one sample can be read of 1 class (eel)" in notes


def test_an_empty_split_is_refused(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path, 2)
    with pytest.raises(DataError, match=r"4 samples are left, and none for val; add samples"):
        build("folder", path=str(tmp_path))
    dataset = build("folder", {"val_fraction": 0.0}, path=str(tmp_path))
    assert dataset.manifest.counts == {"train": 2, "val": 0, "test": 2}
    assert dataset.split("val").inputs.shape == (0, 3, 8, 8)


def test_data_that_changes_while_it_is_read(tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders(tmp_path, 20)
    decode_all = building.decoded

    def change_then_decode(*arguments: Any) -> Any:
        (tmp_path / "cat" / "5.png").write_bytes(encoded(picture(9999)))
        return decode_all(*arguments)

    monkeypatch.setattr(building, "decoded", change_then_decode)
    with pytest.raises(DataError, match=r"cat/5.png: changed while the data was being read"):
        build("folder", path=str(tmp_path))


def test_a_full_disk_is_a_storage_error(tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageError, match="No space left on device"):
        build("folder", path=str(class_folders(tmp_path, 20)))


def test_a_crashing_decoder_names_the_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders(tmp_path / "photos", 20)
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(parallel, "PATIENCE_S", 0.0)
    monkeypatch.setattr(scan, "inspected", crash)
    with pytest.raises(DataError, match=r"cat/0.png ... dog/9.png: a decoding process crashed or ran out of memory"):
        build_dataset(data_config("folder", path=str(tmp_path / "photos")), prepare_config(), tmp_path / "out", "code", 2)


def crash(*_: object, **__: object) -> None:
    os._exit(11)


def test_grey_and_colour_as_asked(tmp_path: Path, build: Build) -> None:
    for c, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        for i in range(12):
            (tmp_path / name / f"{i}.png").write_bytes(encoded(picture(100 * c + i, mode="L")))
    assert build("folder", path=str(tmp_path)).manifest.shape == [1, 8, 8]
    assert build("folder", path=str(tmp_path), channels="rgb").manifest.shape == [3, 8, 8]
    (tmp_path / "a" / "0.png").write_bytes(encoded(picture(0)))
    assert build("folder", path=str(tmp_path)).manifest.shape == [3, 8, 8]
    assert build("folder", path=str(tmp_path), channels="grey").manifest.shape == [1, 8, 8]


def test_the_users_files_are_not_changed(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path, 20)
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.rglob("*.png")}
    build("folder", path=str(tmp_path))
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.rglob("*.png")} == before


def test_rejected_is_one_table_line_per_sample(tmp_path: Path, build: Build) -> None:
    dataset = build("folder", path=str(class_folders(tmp_path, 20)))
    assert (dataset.path / "rejected.csv").read_text() == "source,row,reason\n"
    assert json.loads((dataset.path / "dataset.json").read_text())["num_rejected"] == 0


def refused(folder: Path, match: str, data: Path, **prepare: Any) -> list[dict[str, str]]:
    """What is listed of data that is refused."""
    folder.mkdir(parents=True)
    with pytest.raises(DataError, match=match) as error:
        build_dataset(data_config("folder", path=str(data)), prepare_config(**prepare), folder, "code", 1)
    place = folder.parent / "rejected.csv"
    assert (f"{place} lists " in str(error.value)) == place.exists()
    return read_csv(place) if place.exists() else []


def test_a_refusal_lists_what_was_not_taken_where_it_says_so(tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos", 20)
    for i in range(3):
        (photos / "cat" / f"{i}.png").write_bytes(b"no image")
    expected = [{"source": f"cat/{i}.png", "row": "", "reason": REASON} for i in range(3)]
    assert refused(tmp_path / "a" / "out", "3 of 40", photos) == expected
    # Cats are as good as gone: one class is left.
    for file in (photos / "cat").iterdir():
        file.write_bytes(b"no image")
    listed = refused(tmp_path / "b" / "out", "all 20 samples have the class 'dog'", photos, max_bad_fraction=0.6)
    assert len(listed) == 20


def test_a_split_that_no_sample_reaches_lists_those_that_were_not_taken(tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos", 1)
    (photos / "cat" / "bad.png").write_bytes(b"no image")
    listed = refused(tmp_path / "a" / "out", "2 samples are left, and none for", photos, max_bad_fraction=0.5)
    assert [row["source"] for row in listed] == ["cat/bad.png"]


def test_a_refusal_with_nothing_to_list_leaves_no_older_list(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "rejected.csv").write_text("source,row,reason\nold,,old\n")
    assert refused(tmp_path / "a" / "out", "none for", class_folders(tmp_path / "photos", 1)) == []
