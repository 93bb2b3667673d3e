from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_samples import class_folders, placed, rejected
from PIL import Image, ImageEnhance, ImageFilter

from pipeline.artifacts import read_csv
from pipeline.data.dataset import Dataset
from pipeline.kinds.image import leaks
from pipeline.kinds.kind import Layout
from pipeline.prepare import alike
from pipeline.prepare.alike import _equal, _nearest

Build = Callable[..., Dataset]
SPLITS = ("train", "val", "test")


def scene(number: int, size: int = 32) -> Image.Image:
    """A picture with structure, like no other number's."""
    values = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((size, size), Image.Resampling.BICUBIC)


def as_array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).transpose(2, 0, 1)[None]


def encoded_anew(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=75)
    return Image.open(buffer)


CHANGED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "encoded anew": encoded_anew,
    "brighter": lambda image: image.point(lambda value: min(255, int(value * 1.1) + 5)),
    "less colour": lambda image: ImageEnhance.Color(image).enhance(0.7),
    "made smaller": lambda image: image.resize((24, 24), Image.Resampling.BILINEAR).resize((32, 32), Image.Resampling.BILINEAR),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(0.5)),
}


def are_alike(one: Image.Image, other: Image.Image) -> bool:
    a, b = as_array(one), as_array(other)
    layout = Layout(a.shape[1:], np.dtype(np.uint8))
    marks = [leaks.fingerprints(rows, layout)[0] for rows in (a, b)]
    near = int(marks[0] ^ marks[1]).bit_count() <= leaks.LIKENESS_BITS
    return near and bool(leaks.alike(a, b, np.zeros(1, bool))[0])


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_pictures_that_were_changed_a_little_are_alike(change: Callable[[Image.Image], Image.Image]) -> None:
    assert [are_alike(scene(i), change(scene(i))) for i in range(20)].count(True) >= 19
    assert not any(are_alike(scene(i), change(scene(i + 100))) for i in range(20))


def test_a_fingerprint_is_what_a_plain_loop_says() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (5, 3, 19, 30), dtype=np.uint8)
    found = leaks.fingerprints(rows, Layout((3, 19, 30), np.dtype(np.uint8)))
    for row, mark in zip(rows, found.tolist(), strict=True):
        tops, lefts = [i * 19 // 8 for i in range(9)], [i * 30 // 9 for i in range(10)]
        bits = ""
        for i in range(8):
            means = [row[:, tops[i] : tops[i + 1], lefts[j] : lefts[j + 1]].mean() for j in range(9)]
            bits += "".join("1" if means[j + 1] > means[j] else "0" for j in range(8))
        assert mark == int(bits, 2)


def test_small_and_flat_pictures_have_fingerprints_too() -> None:
    for shape in ((1, 8, 8), (3, 1, 1), (1, 5, 40)):
        rows = np.full((2, *shape), 7, np.uint8)
        assert leaks.fingerprints(rows, Layout(shape, np.dtype(np.uint8))).tolist() == [0, 0]
        assert leaks.alike(rows, rows, np.zeros(2, bool)).all()
        assert not leaks.alike(rows, rows + 1, np.zeros(2, bool)).any()


def test_the_nearest_few_of_each_are_compared_and_crowds_are_said() -> None:
    own = np.array([0, 2**40 - 1], np.uint64)
    before = np.array([0b111, 0, 0b1, 2**20 - 1, 0b11, 0b1111], np.uint64)
    i, j, common = _nearest(own, before, 3)
    assert i.tolist() == [0, 0, 0, 0]
    assert j.tolist() == [1, 2, 4, 0]
    assert not common.any()
    i, j, common = _nearest(own, before, 4)
    assert j.tolist() == [1, 2, 4, 0]
    assert common.all()
    i, j, common = _equal(np.array([7, 5, 9], np.uint64), np.array([9, 7, 9, 1, 9, 9, 9], np.uint64))
    assert (i.tolist(), j.tolist(), common.tolist()) == ([0, 2, 2, 2, 2], [1, 0, 2, 4, 5], [False] + [True] * 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """60 scenes in given splits; three test pictures are training pictures saved anew, one in val is one of test."""
    for split, numbers in (("train", range(40)), ("val", range(40, 50)), ("test", range(50, 60))):
        for i in numbers:
            place = tmp_path / split / "ab"[i % 2] / f"{i}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            scene(i).save(place)
    for i in (0, 1, 2):
        encoded_anew(scene(i)).save(tmp_path / "test" / "ab"[i % 2] / f"again {i}.jpg")
    encoded_anew(scene(50)).save(tmp_path / "val" / "a" / "again 50.jpg")
    return tmp_path


EXPECTED = {
    ("test/a/again 0.jpg", "test", "train/a/0.png", "train"),
    ("test/b/again 1.jpg", "test", "train/b/1.png", "train"),
    ("test/a/again 2.jpg", "test", "train/a/2.png", "train"),
    ("test/a/50.png", "test", "val/a/again 50.jpg", "val"),
}


def test_they_are_counted_named_and_listed(folder: Path, build: Build) -> None:
    dataset = build("folder", path=str(folder))
    [note] = [note for note in dataset.manifest.notes if "closely resemble" in note]
    assert note.startswith("4 samples of val and test (of 24) closely resemble one of an earlier split: ")
    assert "(alike.csv lists all)" in note
    assert "regatta run prepare.alike=leave_out" in note
    assert {tuple(row.values()) for row in read_csv(dataset.path / "alike.csv")} == EXPECTED
    assert sum(dataset.manifest.counts.values()) == 64
    assert rejected(dataset) == {}


def test_they_are_left_out_if_asked_for(folder: Path, build: Build) -> None:
    dataset = build("folder", {"alike": "leave_out"}, path=str(folder))
    gone = {earlier: f"closely resembles {later} in the {split} split" for later, split, earlier, _ in EXPECTED}
    assert rejected(dataset) == gone
    assert not set(gone) & set(placed(dataset))
    assert dataset.manifest.counts == {"train": 37, "val": 10, "test": 13}
    assert dataset.manifest.num_rejected == 4
    assert any("those of the earlier split are left out (see rejected.csv)" in note for note in dataset.manifest.notes)


def test_nobody_looks_where_nobody_is_to(folder: Path, build: Build) -> None:
    dataset = build("folder", {"alike": "off"}, path=str(folder))
    assert not any("resemble" in note for note in dataset.manifest.notes)
    assert not (dataset.path / "alike.csv").exists()


def test_of_many_some_are_looked_at_which_is_said(folder: Path, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "MOST_COMPARED", 12 * 50)
    notes = build("folder", path=str(folder)).manifest.notes
    looked = [note for note in notes if "looked at, 24 in all" in note]
    assert looked, "of 13 test samples 11 are compared with the 51 others"
    whole = build("folder", {"alike": "leave_out"}, path=str(folder)).manifest
    assert whole.num_rejected == 4, "what is left out is complete"


def test_random_pictures_are_not_alike(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path, 150)
    assert not any("resemble" in note for note in build("folder", path=str(tmp_path)).manifest.notes)
