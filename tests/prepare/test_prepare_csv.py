from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from data_samples import encoded, picture, placed, rejected, write_table

from pipeline.data.dataset import Dataset
from pipeline.errors import ConfigError, DataError
from pipeline.overrides import Overrides, added

CONF = Path(__file__).resolve().parents[2] / "conf"
Build = Callable[..., Dataset]
LENIENT = {"max_bad_fraction": 0.9}


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    (tmp_path / "images").mkdir()
    for i in range(40):
        (tmp_path / "images" / f"{i}.png").write_bytes(encoded(picture(i)))
    return [f"images/{i}.png" for i in range(40)]


def rows_of(images: list[str], *labels: str) -> list[list[str]]:
    return [["image", "label"], *([name, labels[i % len(labels)]] for i, name in enumerate(images))]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_labels_are_text(tmp_path: Path, images: list[str], build: Build, delimiter: str) -> None:
    table = write_table(tmp_path / "labels.csv", rows_of(images, "007", "NA", "1e3"), delimiter)
    dataset = build("csv", path=str(table))
    assert dataset.manifest.classes == ["007", "1e3", "NA"]
    assert set(placed(dataset)) == set(images)
    part = dataset.split("train")
    for pixels, label, name in zip(part.inputs, part.labels, dataset.sources("train"), strict=True):
        number = images.index(name)
        assert (pixels.transpose(1, 2, 0) == picture(number)).all()
        assert dataset.manifest.classes[label] == ("007", "NA", "1e3")[number % 3]


def test_the_folder_of_the_table_will_do(tmp_path: Path, images: list[str], build: Build) -> None:
    write_table(tmp_path / "labels.csv", rows_of(images, "a", "b"))
    direct, folder = build("csv", path=str(tmp_path / "labels.csv")), build("csv", path=str(tmp_path))
    assert direct.manifest == folder.manifest
    write_table(tmp_path / "more.csv", rows_of(images, "a", "b"))
    with pytest.raises(DataError, match=r"2 tables \(labels.csv, more.csv\), and which one is meant is not said"):
        build("csv", path=str(tmp_path))


def test_tables_named_like_splits(tmp_path: Path, images: list[str], build: Build) -> None:
    write_table(tmp_path / "train.csv", rows_of(images[:30], "a", "b"))
    write_table(tmp_path / "test.csv", rows_of(images[30:], "a", "b"))
    dataset = build("csv", path=str(tmp_path))
    assert {name for name, split in placed(dataset).items() if split == "test"} == set(images[30:])
    assert dataset.manifest.counts["val"] > 0


def test_bad_lines_are_listed(tmp_path: Path, images: list[str], build: Build) -> None:
    good = rows_of(images, "a", "b")
    bad = [
        ["images/0.png"],
        ["images/1.png", "a", "b"],
        [],
        ["images/2.png", " "],
        ["", "a"],
        ["images/none.png", "a"],
        ["images", "b"],
    ]
    dataset = build("csv", LENIENT, path=str(write_table(tmp_path / "labels.csv", good + bad)))
    assert rejected(dataset) == {
        "labels.csv:42": "the line has 1 fields, the header 2",
        "labels.csv:43": "the line has 3 fields, the header 2",
        "images/2.png:45": "label missing",
        "labels.csv:46": "no file name",
        "images/none.png:47": "no such file in the folder of the table",
        "images:48": "not a regular file",
    }
    assert dataset.manifest.num_read == 46


def test_no_way_out_of_the_folder(tmp_path: Path, images: list[str], build: Build) -> None:
    inside = tmp_path / "images"
    (tmp_path / "secret.png").write_bytes(encoded(picture(99)))
    names = [f"{i}.png" for i in range(20)]
    outside = ["../secret.png", str(tmp_path / "secret.png"), "a/../../secret.png", "/etc/passwd", "..", "..\\secret.png"]
    allowed = [str(inside / "20.png"), "x/../21.png", "./22.png"]
    table = write_table(inside / "labels.csv", rows_of([*names, *allowed, *outside], "a", "b"))
    dataset = build("csv", LENIENT, path=str(table))
    assert [reason.endswith("leads out of the folder of the table") for reason in rejected(dataset).values()] == [True] * 6
    assert set(placed(dataset)) == {*names, "20.png", "21.png", "22.png"}


def test_links_lead_to_the_data(tmp_path: Path, images: list[str], build: Build) -> None:
    write_table(tmp_path / "labels.csv", rows_of(images, "a", "b"))
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "folder").symlink_to(tmp_path)
    (tmp_path / "project" / "table.csv").symlink_to(tmp_path / "labels.csv")
    for name in ("folder", "folder/labels.csv", "table.csv"):
        assert sum(build("csv", path=str(tmp_path / "project" / name)).manifest.counts.values()) == 40


def test_several_columns_of_switches(tmp_path: Path, images: list[str], build: Build) -> None:
    rows = [["image", "red", "round"], *([name, str(i % 2), str(i % 3 // 2)] for i, name in enumerate(images[:30]))]
    rows.append([images[30], "2", "0"])
    dataset = build("csv", LENIENT, path=str(write_table(tmp_path / "t.csv", rows)), label=["round", "red"])
    assert (dataset.manifest.task, dataset.manifest.classes) == ("multi", ["round", "red"])
    part = dataset.split("train")
    assert part.labels.dtype == "uint8"
    expected = [[images.index(name) % 3 // 2, images.index(name) % 2] for name in dataset.sources("train")]
    assert part.labels.tolist() == expected
    assert rejected(dataset) == {
        "images/30.png:32": "column red says '2'; 0 or 1 is allowed where data.label lists several columns; "
        "say data.target=number to predict their numbers"
    }


def test_a_separator(tmp_path: Path, images: list[str], build: Build) -> None:
    labels = ["red|round", "round | red", "red", ""]
    dataset = build("csv", path=str(write_table(tmp_path / "t.csv", rows_of(images, *labels))), separator="|")
    assert (dataset.manifest.task, dataset.manifest.classes) == ("multi", ["red", "round"])
    expected = [[[1, 1], [1, 1], [1, 0], [0, 0]][images.index(name) % 4] for name in dataset.sources("train")]
    assert dataset.split("train").labels.tolist() == expected
    total = sum(sum(counts) for counts in dataset.manifest.class_counts.values())
    assert total == 50


def test_split_and_group_columns(tmp_path: Path, images: list[str], build: Build) -> None:
    rows = [["image", "label", "fold", "patient"]]
    for i, name in enumerate(images):
        rows.append([name, "ab"[i % 2], "TEST " if i < 6 else "", f"p{i // 2}"])
    rows[-1][2] = "trian"
    table = write_table(tmp_path / "t.csv", rows)
    dataset = build("csv", LENIENT, path=str(table), split="fold", group="patient")
    where = placed(dataset)
    assert {name for name, split in where.items() if split == "test"} == set(images[:6])
    assert rejected(dataset) == {"images/39.png:41": "column fold says 'trian'; train, val or test is allowed"}
    assert all(where[images[i]] == where[images[i + 1]] for i in range(0, 38, 2))
    assert dataset.manifest.counts["val"] > 0


def test_copies_in_other_groups_do_not_straddle(tmp_path: Path, images: list[str], build: Build) -> None:
    rows = [["image", "label", "patient"], *([name, "ab"[i % 2], f"p{i}"] for i, name in enumerate(images))]
    rows += [[images[i], "ab"[i % 2], f"q{i}"] for i in range(20)]
    dataset = build("csv", path=str(write_table(tmp_path / "t.csv", rows)), group="patient")
    dropped = rejected(dataset)
    assert dropped
    assert all(reason.startswith("exact copy of images/") for reason in dropped.values())
    pixels = [
        {dataset.split(s).inputs[i].tobytes() for i in range(dataset.manifest.counts[s])} for s in ("train", "val", "test")
    ]
    assert len(set().union(*pixels)) == sum(len(of_split) for of_split in pixels)
    assert sum(dataset.manifest.counts.values()) + len(dropped) == 60


def test_missing_columns(tmp_path: Path, images: list[str], build: Build) -> None:
    table = write_table(tmp_path / "t.csv", [["file", "kind"], [images[0], "a"]])
    with pytest.raises(
        DataError,
        match=r"t.csv: no column 'image', which data.image names, and no column 'label'",
    ):
        build("csv", path=str(table))
    write_table(table, [["image", "label", "label"], [images[0], "a", "b"]])
    with pytest.raises(DataError, match="two columns are named 'label'"):
        build("csv", path=str(table))


def test_columns_of_0_and_1_are_proposed_where_no_label_is_told(tmp_path: Path, images: list[str], build: Build) -> None:
    header = ["image", "fold", "age", "cat", "it's a dog", "2"]
    rows = [[name, str(i % 2), str(i), str(int(i % 3 == 0)), str(int(i % 3 == 1)), "1.0"] for i, name in enumerate(images)]
    table = write_table(tmp_path / "t.csv", [header, *rows, [images[0], "a line of few cells"]])
    with pytest.raises(DataError) as told:
        build("csv", path=str(table), split="fold")
    message = str(told.value)
    assert message.startswith(f"{table}: no column 'label', which data.label names; it has 6 columns (image, fold, age, cat,")
    [command] = message.splitlines()[1:]
    words, meaning = command.split("   # ")
    assert meaning == "takes the 3 columns of 0 and 1 as labels"
    [said] = shlex.split(words)[2:]
    overrides, _ = added(Overrides(), [said], CONF)
    assert overrides.values == {"data": {"label": ["cat", "it's a dog", "2"]}}
    dataset = build("csv", path=str(table), **overrides.values["data"], prepare=LENIENT)
    assert dataset.manifest.classes == ["cat", "it's a dog", "2"]


def test_one_column_of_0_and_1_or_other_numbers_are_no_labels_to_propose(
    tmp_path: Path, images: list[str], build: Build
) -> None:
    rows = [[name, str(i % 2), "2" if i == 39 else "1"] for i, name in enumerate(images)]
    table = write_table(tmp_path / "t.csv", [["image", "cat", "paws"], *rows])
    with pytest.raises(DataError, match="no column 'label'") as told:
        build("csv", path=str(table))
    assert str(told.value).endswith("Name another: regatta run data.label=COLUMN")


def test_tables_that_can_not_be_read(tmp_path: Path, build: Build) -> None:
    table = tmp_path / "t.csv"
    table.write_text('image,label\na.png,x\nb.png,"never closed\nc.png,y\n')
    with pytest.raises(DataError, match=r"t.csv, line 3: a quote is opened here and never closed"):
        build("csv", path=str(table))
    table.write_bytes("image,label\nb\u00e4r.png,x\n".encode("latin-1"))
    with pytest.raises(DataError, match="byte 13 is not UTF-8"):
        build("csv", path=str(table))
    table.write_text("")
    with pytest.raises(DataError, match=r"t.csv: empty; its first line must name the columns"):
        build("csv", path=str(table))
    table.write_text("image,label\n")
    with pytest.raises(DataError, match="the data holds no samples"):
        build("csv", path=str(table))
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"no .csv or .tsv file in it"):
        build("csv", path=str(tmp_path / "none"))


def test_a_mark_at_the_start_and_quotes(tmp_path: Path, images: list[str], build: Build) -> None:
    rows = [f'"{name}","a ""{i % 2}"", b"' for i, name in enumerate(images)]
    (tmp_path / "t.csv").write_text("\ufeffimage,label\r\n" + "\r\n".join(rows), encoding="utf-8")
    assert build("csv", path=str(tmp_path / "t.csv")).manifest.classes == ['a "0", b', 'a "1", b']


def test_groups_of_one_class_each_reach_every_split(tmp_path: Path, build: Build) -> None:
    rows = [["image", "label", "patient"]]
    for i in range(90):
        (tmp_path / f"{i}.png").write_bytes(encoded(picture(i)))
        rows.append([f"{i}.png", "abc"[i % 3], f"patient{i % 30}"])
    dataset = build("csv", path=str(write_table(tmp_path / "t.csv", rows)), group="patient")
    for split in ("train", "val", "test"):
        assert all(dataset.manifest.class_counts[split])
    patients = {split: {int(name[:-4]) % 30 for name in dataset.sources(split)} for split in ("train", "val", "test")}
    assert sum(map(len, patients.values())) == 30


def test_numbers_written_in_two_ways_are_one_class(tmp_path: Path, images: list[str], build: Build) -> None:
    plain = build("csv", path=str(write_table(tmp_path / "a.csv", rows_of(images, "1", "2"))))
    rows = [*rows_of(images, "1", "2"), *rows_of(images[:8], "1.0", "2.0")[1:]]
    mixed = build("csv", path=str(write_table(tmp_path / "b.csv", rows)))
    assert plain.manifest.classes == mixed.manifest.classes == ["1", "2"]
    assert sum(mixed.manifest.counts.values()) == 48
    assert rejected(mixed) == {}, "copies of the same class are no conflicts"
    assert any("all labels are numbers, so 2 names (1.0, 2.0)" in note for note in mixed.manifest.notes)
    assert not any("all labels are numbers" in note for note in plain.manifest.notes)
    floats = build("csv", path=str(write_table(tmp_path / "c.csv", rows_of(images, "1.0", "2.0"))))
    assert floats.manifest.source_digest == plain.manifest.source_digest != mixed.manifest.source_digest


def test_numbers_are_one_class_across_tables(tmp_path: Path, images: list[str], build: Build) -> None:
    write_table(tmp_path / "train.csv", rows_of(images[:24], "1", "2"))
    write_table(tmp_path / "val.csv", rows_of(images[24:], "1.0", "2.0"))
    dataset = build("csv", {"test_fraction": 0.0}, path=str(tmp_path))
    assert dataset.manifest.classes == ["1", "2"]
    assert dataset.manifest.class_counts["val"] == [8, 8]


def test_floats_are_ordered_by_value(tmp_path: Path, images: list[str], build: Build) -> None:
    rows = rows_of(images, *(f"{i}.0" for i in range(12)))
    dataset = build("csv", path=str(write_table(tmp_path / "t.csv", rows)))
    assert dataset.manifest.classes == [str(i) for i in range(12)]
    text = build("csv", path=str(write_table(tmp_path / "t.csv", rows_of(images, "10.0", "9.0", "007"))))
    assert text.manifest.classes == ["007", "10.0", "9.0"]


def test_words_for_missing_labels_are_classes_with_a_note(tmp_path: Path, images: list[str], build: Build) -> None:
    dataset = build("csv", path=str(write_table(tmp_path / "t.csv", rows_of(images, "a", "NA", "a", "None"))))
    assert dataset.manifest.classes == ["NA", "None", "a"]
    (note,) = [note for note in dataset.manifest.notes if "stands for a missing label" in note]
    assert "2 classes ('NA': 10 of 40 (25 %) samples, 'None': 10 of 40 (25 %) samples)" in note
    plain = build("csv", path=str(write_table(tmp_path / "t.csv", rows_of(images, "a", "nano"))))
    assert not any("missing label" in note for note in plain.manifest.notes)


def switches(images: list[str], *rows: str) -> list[list[str]]:
    return [["image", "a", "b", "c"], *([name, *rows[i % len(rows)].split()] for i, name in enumerate(images))]


ONE_HOT = ("0 1 0", "1.0 0.0 0.0", "0 0 1")


def test_one_hot_columns_are_one_class(tmp_path: Path, images: list[str], build: Build) -> None:
    table = str(write_table(tmp_path / "t.csv", switches(images, *ONE_HOT)))
    dataset = build("csv", path=table, label=["a", "b", "c"])
    assert (dataset.manifest.task, dataset.manifest.classes) == ("single", ["a", "b", "c"])
    assert any("one class a sample" in note and "data.exclusive=false" in note for note in dataset.manifest.notes)
    part = dataset.split("train")
    for label, name in zip(part.labels, dataset.sources("train"), strict=True):
        assert label == (1, 0, 2)[images.index(name) % 3]
    several = build("csv", path=table, label=["a", "b", "c"], exclusive=False)
    assert several.manifest.task == "multi"
    assert (several.split("train").labels.sum(1) == 1).all()


def test_one_hot_is_judged_by_the_rows_of_all_tables(tmp_path: Path, images: list[str], build: Build) -> None:
    write_table(tmp_path / "train.csv", switches(images[:24], *ONE_HOT))
    write_table(tmp_path / "val.csv", switches(images[24:], *ONE_HOT, "1 1 0"))
    keys = {"path": str(tmp_path), "label": ["a", "b", "c"]}
    assert build("csv", {"test_fraction": 0.0}, **keys).manifest.task == "multi"
    single = build("csv", LENIENT | {"test_fraction": 0.0}, exclusive=True, **keys)
    assert single.manifest.task == "single"
    assert single.manifest.counts["val"] == 12
    assert set(rejected(single).values()) == {"2 labels, and data.exclusive = true allows exactly one"}
    write_table(tmp_path / "val.csv", switches(images[24:], *ONE_HOT, "0 0 0"))
    assert build("csv", {"test_fraction": 0.0}, **keys).manifest.task == "multi"
    with pytest.raises(DataError, match=r"4 x no labels, and data.exclusive = true allows exactly one"):
        build("csv", {"test_fraction": 0.0}, exclusive=True, **keys)


def test_exclusive_false_needs_several_labels(tmp_path: Path, images: list[str], build: Build) -> None:
    table = write_table(tmp_path / "t.csv", rows_of(images, "a", "b"))
    with pytest.raises(ConfigError, match=r"data.exclusive = false, but each row has one label"):
        build("csv", path=str(table), exclusive=False)


def test_cells_and_tables_with_line_breaks_stay_on_their_line(tmp_path: Path, images: list[str], build: Build) -> None:
    place = tmp_path / "labels\nregatta: all is well.csv"
    write_table(place, [*rows_of(images, "a", "b"), ["no\nsuch.png", "a"], ["../out\nside.png", "b"]])
    with pytest.raises(DataError) as refusal:
        build("csv", path=str(place))
    assert "no\\nsuch.png" in str(refusal.value)
    assert not [line for line in str(refusal.value).splitlines() if line.startswith(("such.png", "side.png", "regatta:"))]
    dataset = build("csv", path=str(place), prepare=LENIENT)
    assert set(rejected(dataset)) == {"no\\nsuch.png:42", "../out\\nside.png:44"}
    with pytest.raises(DataError, match=r"^/\S+/labels\\nregatta: all is well.csv: no column 'none', which "):
        build("csv", path=str(place), label="none")
    place.write_bytes(b"image,label\na.png,\xff\n")
    with pytest.raises(DataError, match=r"labels\\nregatta: all is well.csv: byte \d+ is not UTF-8"):
        build("csv", path=str(place))
