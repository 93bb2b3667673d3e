from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from data_samples import class_folders, data_config, encoded, picture, placed, rejected

from pipeline.data.dataset import Dataset
from pipeline.errors import ConfigError, DataError
from pipeline.prepare.sources.folder import open_folder

Build = Callable[..., Dataset]
LENIENT = {"max_bad_fraction": 0.5}


def test_a_folder_per_class(tmp_path: Path, build: Build) -> None:
    dataset = build("folder", path=str(class_folders(tmp_path)))
    manifest = dataset.manifest
    assert (manifest.classes, manifest.shape, manifest.task) == (["cat", "dog"], [3, 8, 8], "single")
    assert sum(manifest.counts.values()) == manifest.num_read == 60
    for split in ("train", "val", "test"):
        part = dataset.split(split)
        assert len(part) == manifest.counts[split] > 0
        for pixels, label, name in zip(part.inputs, part.labels, dataset.sources(split), strict=True):
            kind, number = Path(name).parts
            original = picture(1000 * manifest.classes.index(kind) + int(Path(number).stem))
            assert label == manifest.classes.index(kind)
            assert (pixels.transpose(1, 2, 0) == original).all()


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid", "testing")])
def test_a_given_layout_is_respected(tmp_path: Path, build: Build, names: tuple[str, ...]) -> None:
    for i, name in enumerate(names):
        class_folders(tmp_path / name, 5, start=5 * i)
    dataset = build("folder", path=str(tmp_path))
    assert dataset.manifest.classes == ["cat", "dog"]
    assert {Path(name).parts[0]: split for name, split in placed(dataset).items()} == dict(
        zip(names, ("train", "val", "test"), strict=True)
    )


def test_a_missing_val_is_cut_from_train(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path / "train", 60)
    class_folders(tmp_path / "test", 5, start=100)
    dataset = build("folder", path=str(tmp_path))
    assert dataset.manifest.counts["test"] == 10
    assert dataset.manifest.counts["val"] > 0
    assert {Path(name).parts[0] for name, split in placed(dataset).items() if split == "val"} == {"train"}


def test_given_paths(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path / "a", 40)
    class_folders(tmp_path / "b", 5, start=100)
    dataset = build("folder", train_path=str(tmp_path / "a"), test_path=str(tmp_path / "b"))
    assert {name.split("/")[0] for name, split in placed(dataset).items() if split == "test"} == {"test"}
    assert dataset.manifest.counts["test"] == 10
    same = build("folder", path=str(tmp_path / "a"), test_path=str(tmp_path / "b"))
    assert [same.manifest.counts[s] for s in ("train", "val")] == [dataset.manifest.counts[s] for s in ("train", "val")]


def test_classes_named_like_splits_are_classes(tmp_path: Path, build: Build) -> None:
    dataset = build("folder", path=str(class_folders(tmp_path, 10, ("bus", "train"))))
    assert dataset.manifest.classes == ["bus", "train"]


def test_layouts_that_mean_two_things_are_refused(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path / "one" / "train", 3)
    class_folders(tmp_path / "one" / "test", 3, start=10)
    class_folders(tmp_path / "one" / "extra", 3, start=20)
    with pytest.raises(DataError, match=r"train, test look like given splits, with 1 other folder \(extra\) beside them"):
        build("folder", path=str(tmp_path / "one"))
    class_folders(tmp_path / "two" / "test", 3)
    with pytest.raises(DataError, match=r"only test and no train.*\n  regatta run data.path=.*two/test "):
        build("folder", path=str(tmp_path / "two"))
    for name in ("train", "val", "valid"):
        class_folders(tmp_path / "three" / name, 3)
    with pytest.raises(DataError, match="one split has two folders"):
        build("folder", path=str(tmp_path / "three"))


def test_a_class_that_only_the_test_split_has(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path / "train", 5)
    class_folders(tmp_path / "test", 5, ("cat", "Dog"), start=10)
    with pytest.raises(DataError, match=r"1 class \('Dog': 5\) that train lacks; train has 2 classes \(cat, dog\)"):
        build("folder", path=str(tmp_path))


def test_names_with_blanks_unicode_and_html(tmp_path: Path, build: Build) -> None:
    names = ("caf\u00e9 au lait", "<script>alert(1)</script>", '\u732b, "quoted"')
    for c, name in enumerate(names):
        (tmp_path / name.replace("/", "\u2215")).mkdir()
        for i in range(6):
            file = tmp_path / name.replace("/", "\u2215") / f"a b&{i}\n<img src=x>.png"
            file.write_bytes(encoded(picture(100 * c + i)))
    (tmp_path / names[0] / "not an\nimage, <b>.png").write_bytes(b"no")
    dataset = build("folder", LENIENT, path=str(tmp_path))
    assert set(dataset.manifest.classes) == {name.replace("/", "\u2215") for name in names}
    assert f"{names[0]}/a b&0\\n<img src=x>.png" in placed(dataset)
    assert list(rejected(dataset)) == [f"{names[0]}/not an\\nimage, <b>.png"]


def test_accents_spelled_in_two_ways_are_one_class(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path / "train", 5, ("caf\u00e9", "tea"))
    class_folders(tmp_path / "test", 5, ("cafe\u0301", "tea"), start=10)
    assert build("folder", path=str(tmp_path)).manifest.classes == ["caf\u00e9", "tea"]


def test_names_that_are_not_utf8(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path, 10)
    os.rename(tmp_path / "cat" / "0.png", os.fsencode(tmp_path / "cat") + b"/\xff.png")
    assert "cat/\\xff.png" in placed(build("folder", path=str(tmp_path)))


def test_what_can_not_be_taken_is_listed(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path, 20)
    whole = encoded(picture(5000, (64, 64)), "JPEG")
    (tmp_path / "cat" / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cat" / "empty.png").touch()
    (tmp_path / "cat" / "notes.txt").write_text("some notes")
    (tmp_path / "cat" / "notes.dat").write_text("some notes")
    (tmp_path / "dog" / "self.png").symlink_to("self.png")
    (tmp_path / "dog" / "twice").symlink_to(tmp_path / "dog" / "also")
    (tmp_path / "dog" / "also").mkdir()
    (tmp_path / "dog" / "also" / "0.png").write_bytes(encoded(picture(5004)))
    (tmp_path / "cat" / "wrong.jpg").write_bytes(encoded(picture(5001), "PNG"))
    (tmp_path / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "dog" / "loop").symlink_to(tmp_path / "dog")
    (tmp_path / "dog" / "huge.png").write_bytes(encoded(picture(5002, (1001, 1000))))
    os.mkfifo(tmp_path / "dog" / "pipe.png")
    (tmp_path / "stray.png").write_bytes(encoded(picture(5003)))
    (tmp_path / "dog" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "birds").mkdir()
    dataset = build("folder", LENIENT, path=str(tmp_path), size=8)
    found = rejected(dataset)
    damaged = found.pop("cat/half.jpg")
    assert damaged.startswith(("cut short", "damaged"))
    assert found == {
        "cat/empty.png": "empty file",
        "cat/gone.png": "a link to a file that is not there",
        "cat/notes.dat": "not an image of a format that can be read",
        "dog/loop": "a link to a folder above it",
        "dog/self.png": "a link that leads to itself",
        "dog/twice": "the same folder as dog/also, which is read already",
        "dog/huge.png": "declares 1001000 pixels, more than data.max_pixels = 1000000",
        "dog/pipe.png": "not a regular file",
        "stray.png": "not in a class folder",
    }
    assert "cat/wrong.jpg" in placed(dataset)
    assert dataset.manifest.classes == ["cat", "dog"]
    assert dataset.manifest.num_rejected == 10
    assert dataset.manifest.num_read == 52
    assert "empty folders, so not a class: 1 folder (birds)" in dataset.manifest.notes
    assert "hidden or a system's, so not read: 1 file or folder (.DS_Store)" in dataset.manifest.notes
    assert "files of other kinds beside the samples, so not read: 1 file (notes.txt)" in dataset.manifest.notes


def test_bad_samples_change_nothing_else(tmp_path: Path, build: Build) -> None:
    clean = build("folder", path=str(class_folders(tmp_path, 4)))
    arrays = {s: clean.split(s).inputs.tobytes() for s in ("train", "val", "test")}
    for i in range(3):
        (tmp_path / "cat" / f"{i}.jpg").write_bytes(encoded(picture(i), "JPEG")[:-9])
    dirty = build("folder", LENIENT, path=str(tmp_path))
    assert {s: dirty.split(s).inputs.tobytes() for s in arrays} == arrays


def test_unreadable_files_are_listed(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path, 10)
    (tmp_path / "cat" / "0.png").unlink()
    (tmp_path / "cat" / "0.png").symlink_to("/proc/self/mem")  # reading fails for root, too
    (tmp_path / "dog" / "0.png").chmod(0)
    found = rejected(build("folder", LENIENT, path=str(tmp_path)))
    assert found.pop("cat/0.png") == "can't be read (Input/output error)"
    assert found == ({} if os.geteuid() == 0 else {"dog/0.png": "can't be read (Permission denied)"})


def test_too_many_bad_samples_stop(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path, 10)
    for i in range(2):
        (tmp_path / "cat" / f"bad{i}.png").write_bytes(b"no")
    with pytest.raises(DataError) as error:
        build("folder", {"max_bad_fraction": 0.05}, path=str(tmp_path))
    assert "2 of 22 (9.09 %) samples can't be taken; prepare.max_bad_fraction = 0.05 allows 1" in str(error.value)
    assert "2 x not an image of a format that can be read: cat/bad0.png, cat/bad1.png" in str(error.value)
    build("folder", {"max_bad_fraction": 0.1}, path=str(tmp_path))


def test_one_class_only(tmp_path: Path, build: Build) -> None:
    with pytest.raises(DataError, match="all 10 samples have the class 'cat'; a classifier needs at least two"):
        build("folder", path=str(class_folders(tmp_path, 10, ("cat",))))


def test_no_class_folders(tmp_path: Path, build: Build) -> None:
    with pytest.raises(DataError, match="no class folders with files in them"):
        build("folder", path=str(tmp_path))
    (tmp_path / "a.png").write_bytes(encoded(picture(1)))
    with pytest.raises(DataError, match="no class folders with files in them"):
        build("folder", path=str(tmp_path))


def test_no_such_place(tmp_path: Path, build: Build) -> None:
    with pytest.raises(ConfigError, match=r"data.path = .*nowhere: no such file or folder"):
        build("folder", path=str(tmp_path / "nowhere"))
    (tmp_path / "link").symlink_to(tmp_path / "moved")
    with pytest.raises(DataError, match=r"the link leads to .*moved, which is not there"):
        build("folder", path=str(tmp_path / "link"))
    (tmp_path / "photos.zip").touch()
    with pytest.raises(DataError, match=r"a file; data.source=folder needs a folder"):
        build("folder", path=str(tmp_path / "photos.zip"))
    with pytest.raises(ConfigError, match=r"data.path is not given: data=folder needs it"):
        build("folder")


def test_deep_folders_and_links_are_followed(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path / "elsewhere", 10)
    (tmp_path / "data" / "cat").mkdir(parents=True)
    (tmp_path / "data" / "cat" / "deep").symlink_to(tmp_path / "elsewhere" / "cat")
    (tmp_path / "data" / "dog").symlink_to(tmp_path / "elsewhere" / "dog")
    dataset = build("folder", path=str(tmp_path / "data"))
    assert "cat/deep/0.png" in placed(dataset)
    assert sum(dataset.manifest.counts.values()) == 20


def test_different_sizes_need_a_size(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path, 10)
    (tmp_path / "cat" / "wide.png").write_bytes(encoded(picture(1, (16, 8))))
    with pytest.raises(DataError, match=r"2 different sizes .*1 of 16 x 8, such as cat/wide.png"):
        build("folder", path=str(tmp_path))
    assert build("folder", path=str(tmp_path), size=[4, 6]).manifest.shape == [3, 4, 6]


def test_what_lies_beside_images_is_no_bad_sample(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path, 10)
    for i in range(10):
        for suffix in ("txt", "json", "xml"):
            (tmp_path / "cat" / f"{i}.{suffix}").write_text("x")
    (tmp_path / "dog" / "classes.txt").write_text("x")
    (tmp_path / "LICENSE").write_text("x")
    (tmp_path / "labels.csv").write_text("x")
    dataset = build("folder", path=str(tmp_path))
    assert (dataset.manifest.num_read, dataset.manifest.num_rejected) == (20, 0)
    [note] = [note for note in dataset.manifest.notes if "beside" in note]
    assert note == "files of other kinds beside the samples, so not read: 33 files (0.json, 0.txt, 0.xml, 1.json, 1.txt, ...)"


def test_nothing_but_texts_is_refused_for_what_it_is(tmp_path: Path, build: Build) -> None:
    for name in ("neg", "pos"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.txt").write_text("good")
    with pytest.raises(DataError, match=r"2 x not an image of a format that can be read: neg/1\.txt, pos/1\.txt"):
        build("folder", path=str(tmp_path))


def test_names_that_differ_in_capitals_alone_are_noted(tmp_path: Path, build: Build) -> None:
    dataset = build("folder", path=str(class_folders(tmp_path, 10, ("Cats", "cats", "dogs"))))
    assert dataset.manifest.classes == ["Cats", "cats", "dogs"]
    assert "different classes, though they differ in capitals alone: 1 pair (Cats and cats)" in dataset.manifest.notes


def test_split_words_in_names_are_splits_not_labels(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path / "training_set" / "training_set", 20)
    class_folders(tmp_path / "test_set" / "test_set", 8, start=100)
    manifest = build("folder", path=str(tmp_path)).manifest
    assert manifest.classes == ["cat", "dog"]
    assert (manifest.counts["train"] + manifest.counts["val"], manifest.counts["test"]) == (40, 16)
    assert "test_set/test_set is taken as the test split" in manifest.notes


def test_splits_below_the_classes_are_the_given_splits(tmp_path: Path, build: Build) -> None:
    for name in ("cat", "dog"):
        class_folders(tmp_path / name, 20, ("train",), start=1000 * len(list(tmp_path.iterdir())))
        class_folders(tmp_path / name, 8, ("test",), start=5000 + 1000 * len(list(tmp_path.iterdir())))
    dataset = build("folder", path=str(tmp_path))
    assert dataset.manifest.class_counts["test"] == [8, 8]
    assert {Path(name).parts[1] for name, split in placed(dataset).items() if split == "test"} == {"test"}


def test_folds_as_classes_or_together(tmp_path: Path, build: Build) -> None:
    for i in range(3):
        class_folders(tmp_path / f"fold{i}", 10, start=10 * i)
    with pytest.raises(DataError, match=r"fold0, fold1, fold2\) hold the same 2 folders \(cat, dog\)"):
        build("folder", path=str(tmp_path))
    assert build("folder", path=str(tmp_path), class_level=2).manifest.classes == ["cat", "dog"]
    assert build("folder", path=str(tmp_path), class_level=1).manifest.classes == ["fold0", "fold1", "fold2"]


def test_folders_that_link_to_each_other_are_read_once_for_each_class(tmp_path: Path, build: Build) -> None:
    """Ten folders with links to all of them have 10! ways through."""
    names = tuple(f"c{i}" for i in range(10))
    class_folders(tmp_path, 3, names)
    for name in names:
        for other in names:
            if other != name:
                (tmp_path / name / other).symlink_to(tmp_path / other)
    with pytest.raises(DataError, match="samples can't be taken"):
        build("folder", path=str(tmp_path), class_level=1)


def test_a_class_whose_link_is_lost_is_not_left_out(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path, 10)
    (tmp_path / "bird").symlink_to(tmp_path / "moved")
    with pytest.raises(DataError, match=r"bird: a link to .*/moved, which is not there; make it anew, or remove it"):
        build("folder", path=str(tmp_path))


@pytest.mark.parametrize(("given", "cut"), [("val", "test"), ("test", "val")])
def test_a_small_split_cut_beside_a_given_one_is_said_to_be_small(tmp_path: Path, build: Build, given: str, cut: str) -> None:
    class_folders(tmp_path / "train", 60)
    class_folders(tmp_path / given, 10, start=500)
    manifest = build("folder", {f"{cut}_fraction": 0.25}, path=str(tmp_path)).manifest
    assert manifest.counts[cut] == pytest.approx(30, abs=12)
    [note] = [note for note in manifest.notes if note.startswith(f"{cut} is cut from train, since {given} alone was given")]
    assert f"{manifest.counts[cut]} of 120 (" in note
    assert f"raise prepare.{cut}_fraction, or name one with data.{cut}_path" in note


def test_a_name_with_line_breaks_or_controls_stays_on_its_line(tmp_path: Path, build: Build) -> None:
    root = class_folders(tmp_path / "photos")
    evil = "a\nregatta: all is well\t\x1b[2J\u202e.png"
    (root / "cat" / evil).write_bytes(b"no image")
    (root / "dog" / evil).write_bytes(encoded(picture(99)))
    with pytest.raises(DataError) as refusal:
        build("folder", path=str(root))
    shown = "a\\nregatta: all is well\\t\\x1b[2J\\u202e.png"
    assert f": cat/{shown}\n" in str(refusal.value)
    dataset = build("folder", path=str(root), prepare=LENIENT)
    lines = (dataset.path / "rejected.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["source", f"cat/{shown}"]
    assert f"dog/{shown}" in placed(dataset)


def test_a_folder_with_a_line_break_is_named_on_one_line(tmp_path: Path) -> None:
    root = tmp_path / "a\nregatta: all is well"
    for name in ("training", "train"):
        class_folders(root / name, 1)
    with pytest.raises(DataError) as refusal:
        open_folder(root, data_config("folder", path=str(root)))
    said, *commands = str(refusal.value).splitlines()
    assert said.startswith(f"{tmp_path}/a\\nregatta: all is well: ")
    script = "\n".join(f"printf '%s\\0' {command}" for command in commands)
    words = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    assert b"data.train_path=" + os.fsencode(root) + b"/train\0" in words
