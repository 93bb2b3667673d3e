from __future__ import annotations

import gzip
import io
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_samples import class_folders, encoded, picture, write_table

from pipeline.errors import ConfigError, DataError
from pipeline.prepare.recognition import Recognised, label_missing, recognised

Make = Callable[[Path], Path]


def sound() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(200))
    return file.getvalue()


def sounds(root: Path) -> Path:
    for name in "ab":
        (root / "sounds" / name).mkdir(parents=True)
        (root / "sounds" / name / "1.wav").write_bytes(sound())
    return root / "sounds"


def sounds_in_parquet(root: Path) -> Path:
    return parquet(root, audio=[{"bytes": sound(), "path": "1.wav"}] * 2, label=["x", "y"])


def table_of_sounds(root: Path) -> Path:
    sounds(root)
    return write_table(root / "sounds" / "t.csv", [["file", "label"], ["a/1.wav", "x"], ["b/1.wav", "y"]])


def one_sound(root: Path) -> Path:
    return sounds(root) / "a" / "1.wav"


def photos(root: Path) -> Path:
    return class_folders(root / "photos", 3)


def without_suffixes(root: Path) -> Path:
    for file in class_folders(root / "photos", 3).rglob("*.png"):
        file.rename(file.with_suffix(""))
    return root / "photos"


def images_and_table(root: Path) -> Path:
    (root / "leaves" / "images").mkdir(parents=True)
    for i in range(4):
        (root / "leaves" / "images" / f"{i}.png").write_bytes(encoded(picture(i)))
    rows = [["file name", "kind"], *([f"images/{i}.png", "ab"[i % 2]] for i in range(4))]
    write_table(root / "leaves" / "t.csv", rows)
    return root / "leaves"


def table_alone(root: Path) -> Path:
    return images_and_table(root) / "t.csv"


def ids_of_images(root: Path) -> Path:
    write_table(images_and_table(root) / "t.csv", [["code", "label"], *([str(i), "ab"[i % 2]] for i in range(4))])
    return root / "leaves"


def classes_and_table(root: Path) -> Path:
    write_table(photos(root) / "list.csv", [["image", "label"], ["cat/0.png", "cat"]])
    return root / "photos"


def idx(root: Path) -> Path:
    (root / "mnist" / "raw").mkdir(parents=True)
    with gzip.open(root / "mnist" / "raw" / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(b"\0\0\x08\3")
    return root / "mnist"


def parquet(root: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), root / "t.parquet")
    return root / "t.parquet"


def encoded_cells(root: Path) -> Path:
    return parquet(root, img=[{"bytes": encoded(picture(i)), "path": None} for i in range(3)], label=[0, 1, 0])


def array_cells(root: Path) -> Path:
    return parquet(root, image=[np.zeros((4, 4), np.uint8).tolist()] * 3, label=[0, 1, 0])


def names_in_parquet(root: Path) -> Path:
    return parquet(root, file=["a.jpg", "b.jpg"], label=["x", "y"])


def numbers(root: Path) -> Path:
    return write_table(root / "t.csv", [["age", "town", "income"], ["7", "Ulm", "high"], ["8", "Bonn", "low"]])


def numbers_in_parquet(root: Path) -> Path:
    return parquet(root, age=[1.5, 2.0], label=["x", "y"])


def texts(root: Path) -> Path:
    for name in "ab":
        (root / "texts" / name).mkdir(parents=True)
        (root / "texts" / name / "1.txt").write_text("Well met by moonlight.")
    return root / "texts"


def text_table(root: Path) -> Path:
    return write_table(
        root / "t.csv", [["text", "label"], *([f"This is the sentence number {i} of them", "x"] for i in range(9))]
    )


def text_lines(root: Path) -> Path:
    (root / "t.jsonl").write_text("".join(f'{{"评论": "这部电影真的非常好看 {i}", "label": "x"}}\n' for i in range(9)))
    return root / "t.jsonl"


TABLE = "a table of numbers and categories"
CASES: dict[Make, Recognised] = {
    photos: Recognised("images in class folders", "folder"),
    without_suffixes: Recognised("images in class folders", "folder"),
    images_and_table: Recognised(
        "a table of image files (column file name)", "csv", ("table", "folder"), ("data.image='file name'",),
        ("file name", "kind"),
    ),
    table_alone: Recognised(
        "a table of image files (column file name)", "csv", ("table", "folder"), ("data.image='file name'",),
        ("file name", "kind"),
    ),
    ids_of_images: Recognised(
        "a table of image files (column code)", "csv", ("table", "folder"), ("data.image=code",), ("code", "label")
    ),
    classes_and_table: Recognised("images in class folders", "folder", ("csv",)),
    idx: Recognised("files of the MNIST family", "idx"),
    encoded_cells: Recognised(
        "images in Parquet (column img)", "parquet", (), ("data.image=img",), ("img", "label")
    ),
    array_cells: Recognised("images in Parquet (column image)", "parquet", (), (), ("image", "label")),
    sounds: Recognised("sounds in class folders", "audio"),
    sounds_in_parquet: Recognised("sounds in Parquet (column audio)", "audio", (), (), ("audio", "label")),
    table_of_sounds: Recognised(
        "a table of sound files (column file)", "audio", (), ("data.audio=file",), ("file", "label")
    ),
    names_in_parquet: Recognised(
        "a table of image files (column file)", "parquet", ("table",), ("data.image=file",), ("file", "label")
    ),
    numbers: Recognised(TABLE, "table", ("csv", "text"), (), ("age", "town", "income")),
    numbers_in_parquet: Recognised(TABLE, "table", ("parquet", "text"), (), ("age", "label")),
    texts: Recognised("texts in class folders", "text"),
    text_table: Recognised("a table of texts (column text)", "text", ("table",), (), ("text", "label")),
    text_lines: Recognised("a table of texts (column 评论)", "text", ("table",), ("data.text='评论'",), ("评论", "label")),
}  # fmt: skip


@pytest.mark.parametrize(("make", "expected"), CASES.items(), ids=[make.__name__ for make in CASES])
def test_kinds_and_sources(tmp_path: Path, make: Make, expected: Recognised) -> None:
    assert recognised(make(tmp_path), "data.path=X") == expected


def one_text(root: Path) -> Path:
    return texts(root) / "a" / "1.txt"


def pages(root: Path) -> Path:
    (root / "pages").mkdir()
    (root / "pages" / "a.html").write_text("<p>")
    return root / "pages"


def one_picture(root: Path) -> Path:
    return photos(root) / "cat" / "1.png"


def archive(root: Path) -> Path:
    (root / "photos.zip").write_bytes(b"PK\3\4")
    return root / "photos.zip"


def empty(root: Path) -> Path:
    (root / "empty").mkdir()
    return root / "empty"


def arrays(root: Path) -> Path:
    (root / "arrays").mkdir()
    np.save(root / "arrays" / "x.npy", np.zeros(3))
    return root / "arrays"


def mixed(root: Path) -> Path:
    (photos(root) / "t.parquet").write_bytes(encoded_cells(root).read_bytes())
    return root / "photos"


REFUSED: dict[Make, str] = {
    one_sound: r"^data.path=X: one sound; name the folder with all of them$",
    one_text: r"^data.path=X: one text; name the folder with all of them, .txt files in a folder for each class$",
    pages: r"^data.path=X: texts \(1 of .html\), of which .txt files are read: turn them into such$",
    one_picture: r"^data.path=X: one image; name the folder with all of them$",
    archive: r"^data.path=X: an archive; unpack it and name its folder$",
    empty: r"^data.path=X: not recognised \(no files\); say which it is: data=folder",
    arrays: r"^data.path=X: not recognised \(1 of .npy\); say which it is: data=folder",
    mixed: r"^data.path=X: 6 pictures, 1 Parquet files in one folder; name the folder or file of one of them$",
}


@pytest.mark.parametrize(("make", "message"), REFUSED.items(), ids=[make.__name__ for make in REFUSED])
def test_what_is_not_read_is_named(tmp_path: Path, make: Make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recognised(make(tmp_path), "data.path=X")


def test_the_label_is_a_column_of_that_name_or_is_asked_for(tmp_path: Path) -> None:
    said = label_missing(recognised(numbers(tmp_path), "data.path=t.csv"), "data.path=t.csv")
    assert said == (
        "data.path=t.csv: a table of numbers and categories, and which column is the label is not said: it has 3 columns "
        "(age, town, income). Name it:\n  regatta run data.path=t.csv data.label=COLUMN"
    )
    assert label_missing(recognised(numbers_in_parquet(tmp_path), "data.path=X"), "data.path=X") is None
    assert label_missing(recognised(photos(tmp_path), "data.path=X"), "data.path=X") is None


def test_a_table_without_a_row_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a;b;label\n")
    with pytest.raises(DataError, match=r"^X: a table without a row \(it has 3 columns \(a, b, label\)\)"):
        recognised(tmp_path / "t.csv", "X")


@pytest.mark.parametrize(
    ("lists", "what"),
    [
        ([[1] * 64, [2] * 64], "images in Parquet (column values)"),
        ([[[1, 2], [3, 4]], [[1, 2], [3, 4]]], "images in Parquet (column values)"),
        ([[1] * 20, [2] * 30], None),
        ([[0.5, 1.5, 2.5]] * 2, None),
    ],
)
def test_lists_of_as_many_numbers_may_be_pixels_others_are_series(tmp_path: Path, lists: list[Any], what: str | None) -> None:
    pq.write_table(pa.table({"values": lists, "label": ["a", "b"]}), tmp_path / "t.parquet")
    if what:
        assert recognised(tmp_path / "t.parquet", "X").what == what
        return
    with pytest.raises(ConfigError, match=r"^X: lists of \d+ to \d+ numbers \(column values\), which are series: no kind"):
        recognised(tmp_path / "t.parquet", "X")


def messages(root: Path, second: str) -> Path:
    """Without a line of names."""
    rows = [["ham" if i % 3 else "spam", second.format(i)] for i in range(1, 30)]
    (root / "sms.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    return root / "sms.tsv"


LONG, SHORT = "See you at the station at {}", "film {}"


def test_a_first_line_that_is_a_row_is_told_with_the_names_to_say(tmp_path: Path) -> None:
    said = label_missing(recognised(messages(tmp_path, LONG), "data.path=X"), "data.path=X") or ""
    assert "its first line looks like a row (ham, See you at the station at 1). Where no line names the 2 columns" in said
    assert said.endswith("regatta run data.path=X 'data.header=[label,text]'")
    said = label_missing(recognised(messages(tmp_path, SHORT), "data.path=X"), "data.path=X") or ""
    assert "regatta run data.path=X data.label=COLUMN\nIf the first line (ham, film 1) is a row like the others, name" in said
    assert said.endswith("regatta run data.path=X 'data.header=[label,c2]'")


def test_names_that_are_said_are_those_of_the_columns(tmp_path: Path) -> None:
    found = recognised(messages(tmp_path, LONG), "X", ["kind", "said"])
    assert found == Recognised("a table of texts (column said)", "text", ("table",), ("data.text=said",), ("kind", "said"))
