"""Texts from files to a dataset: a table of cases of bad input with the answer to each."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_samples import rejected
from text_samples import reviews, text_config, texts_in, write_jsonl

from pipeline.data.dataset import Dataset
from pipeline.errors import DataError
from pipeline.kinds.kind import BadSampleError
from pipeline.kinds.text.cleaning import MOST_BYTES, cleaned, decoded
from pipeline.prepare.sources import open_source

Build = Callable[..., Dataset]
LENIENT = {"max_bad_fraction": 0.9}


def class_files(root: Path, num: int = 40) -> Path:
    for i, (text, label) in enumerate(reviews(num)):
        (root / label).mkdir(parents=True, exist_ok=True)
        (root / label / f"{i:03}.txt").write_text(text, encoding="utf-8")
    return root


class Case(NamedTuple):
    """A file's bytes, and the text that is taken of it or why none is."""

    content: bytes
    taken: str | None = None
    refused: str = ""


CASES = {
    "nothing": Case(b"", refused="empty file"),
    "white space": Case(b" \n\t ", refused="no text"),
    "control characters alone": Case(b"\x00\x01\x7f", refused="no text"),
    "control characters inside": Case(b"it\x00 is\x1b[0m fine\x07", taken="it is[0m fine"),
    "Latin-1": Case("sehr sch\u00f6n".encode("latin-1"), refused="byte 8 is not UTF-8 (0xf6, '\u00f6' in Western Europe"),
    "a byte-order mark": Case(b"\xef\xbb\xbfgut", taken="gut"),
    "UTF-16, little end first": Case("gr\u00fcn \U0001f600".encode("utf-16"), taken="gr\u00fcn \U0001f600"),
    "UTF-16, big end first": Case(b"\xfe\xff" + "gr\u00fcn".encode("utf-16-be"), taken="gr\u00fcn"),
    "UTF-16 that is cut": Case("gr\u00fcn".encode("utf-16")[:-1], refused="is not UTF-16"),
    "decomposed letters": Case("scho\u0308n e\u0301".encode(), taken="sch\u00f6n \u00e9"),
    "line breaks of all systems": Case(b"a\r\nb\rc\nd\x0ce\xe2\x80\xa8f", taken="a\nb\nc\nd\ne\nf"),
    "a megabyte": Case(b"word " * 200_000, taken="word " * 199_999 + "word"),
    "more than is taken": Case(b"word " * (MOST_BYTES // 5 + 2), refused="bytes of text are more than 4,194,304; cut it"),
    "right to left": Case("\u05e1\u05e8\u05d8 \u05d8\u05d5\u05d1".encode(), taken="\u05e1\u05e8\u05d8 \u05d8\u05d5\u05d1"),
    "Korean": Case("\uc7ac\ubbf8\uc788\uc5b4\uc694".encode(), taken="\uc7ac\ubbf8\uc788\uc5b4\uc694"),
    "Korean in single letters": Case("\u1112\u1161\u11ab".encode(), taken="\ud55c"),
    "Chinese": Case("\u5f88\u597d\u770b".encode(), taken="\u5f88\u597d\u770b"),
    "Thai": Case("\u0e14\u0e35\u0e21\u0e32\u0e01".encode(), taken="\u0e14\u0e35\u0e21\u0e32\u0e01"),
    "Hindi": Case("\u0905\u091a\u094d\u091b\u0940".encode(), taken="\u0905\u091a\u094d\u091b\u0940"),
    "a picture": Case(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", refused="a picture (PNG), not a text"),
    "a program": Case(b"\x7fELF\2\1\1\0\0\xff", refused="a binary file (it has bytes 0), not a text"),
}  # fmt: skip


def test_each_file_is_taken_or_listed_with_its_reason(tmp_path: Path, build_texts: Build) -> None:
    class_files(tmp_path / "films")
    for i, case in enumerate(CASES.values()):
        (tmp_path / "films" / "bad" / f"case{i}.txt").write_bytes(case.content)
    dataset = build_texts(path=str(tmp_path / "films"), prepare=LENIENT)
    listed, taken = rejected(dataset), texts_in(dataset)
    for i, (name, case) in enumerate(CASES.items()):
        said = listed.get(f"bad/case{i}.txt", "")
        assert (case.taken in taken) if case.taken else (case.refused in said), (name, said)
        assert bool(said) == bool(case.refused), (name, said)
    assert any("have control characters, which are left out" in note for note in dataset.manifest.notes)


def test_one_text_is_cleaned_as_in_a_file() -> None:
    for name, case in CASES.items():
        if case.taken and case.content:
            assert cleaned(decoded(case.content)).decode() == case.taken, name
    with pytest.raises(BadSampleError, match="no text"):
        cleaned(" \u200e".replace("\u200e", "\x00"))


def tabled(root: Path, suffix: str, rows: list[tuple[str, str]]) -> Path:
    path = root / f"t{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"text": [text for text, _ in rows], "label": [label for _, label in rows]}), path)
    elif "json" in suffix:
        write_jsonl(path, rows)
    else:
        delimiter = "\t" if "tsv" in suffix else ";"
        path.write_text("\n".join([delimiter.join(cells) for cells in [("text", "label"), *rows]]), encoding="utf-8")
    if suffix.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    return path


def test_all_files_of_the_same_texts_give_the_same_arrays(tmp_path: Path, build_texts: Build) -> None:
    rows = [(f"{text} \u00fc\u0646", label) for text, label in reviews(60)]
    built = [
        build_texts(path=str(tabled(tmp_path, suffix, rows)))
        for suffix in (".csv", ".tsv", ".csv.gz", ".parquet", ".jsonl", ".jsonl.gz")
    ]
    folder = tmp_path / "folder"
    for i, (text, label) in enumerate(rows):
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{i}.txt").write_text(text, encoding="utf-8")
    built.append(build_texts(path=str(folder)))
    first = built[0]
    assert first.manifest.counts == {"train": 48, "val": 5, "test": 7}
    for other in built[1:]:
        assert other.manifest.fit == first.manifest.fit
        for name in ("train", "val", "test"):
            one, same = first.split(name), other.split(name)
            for part in ("inputs", "offsets", "labels", "ids"):
                assert np.array_equal(getattr(one, part), getattr(same, part)), (name, part)


def test_workers_change_nothing(tmp_path: Path, build_texts: Build) -> None:
    path = str(write_jsonl(tmp_path / "t.jsonl", reviews(60)))
    one, two = build_texts(path=path), build_texts(path=path, workers=2)
    assert one.manifest.files == two.manifest.files


def test_a_column_of_another_name_and_columns_beside_it(tmp_path: Path, build_texts: Build) -> None:
    lines = [f'"{text}, indeed",{label},r{i // 4}' for i, (text, label) in enumerate(reviews(80))]
    (tmp_path / "t.csv").write_text("\n".join(["review,sentiment,reviewer", *lines]))
    dataset = build_texts(path=str(tmp_path / "t.csv"), text="review", label="sentiment", group="reviewer")
    assert dataset.manifest.classes == ["bad", "good"]
    assert all(text.endswith(", indeed") for text in texts_in(dataset))
    with pytest.raises(DataError, match=r"no column 'text', which data\.text names"):
        build_texts(path=str(tmp_path / "t.csv"), label="sentiment")


def test_texts_without_quoting_between_tabs(tmp_path: Path, build_texts: Build) -> None:
    rows = [(text.replace("a ", '"a', 1) if i % 3 == 0 else text, label) for i, (text, label) in enumerate(reviews(60))]
    path = tabled(tmp_path, ".tsv", rows)
    dataset = build_texts(path=str(path))
    assert (dataset.manifest.num_read, dataset.manifest.num_rejected) == (60, 0)
    assert texts_in(dataset) == {text for text, _ in rows}
    assert "t.tsv: quotes are characters like any other, since not all are closed in their cell" in dataset.manifest.notes


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        ("text,label\nsch\u00f6n,gut\n".encode("latin-1"), r"t\.csv: byte 14 is not UTF-8 \(0xf6, which is '\u00f6' in .* "
         r"with `iconv -f WINDOWS-1252 -t UTF-8 .*t\.csv > NEW`"),
        ("text,label\nsch\u00f6n,gut\n".encode("utf-16"), r"t\.csv: UTF-16, and UTF-8 is read; `iconv -f UTF-16 -t UTF-8 .*"),
    ],
)  # fmt: skip
def test_tables_of_other_encodings_are_refused_with_the_command(tmp_path: Path, content: bytes, refused: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=refused):
        [*open_source(text_config(path=str(tmp_path / "t.csv"))).read()]


def test_long_cells_are_taken(tmp_path: Path, build_texts: Build) -> None:
    rows = [*reviews(60), ("long " * 200_000, "good")]
    dataset = build_texts(path=str(tabled(tmp_path, ".csv", rows)))
    assert dataset.manifest.lengths is not None
    assert dataset.manifest.lengths[-1] == 5 * 200_000 - 1


def test_texts_in_which_nothing_comes_twice_are_refused(tmp_path: Path, build_texts: Build) -> None:
    rows = [(chr(0x4E00 + 7 * i), "ab"[i % 2]) for i in range(40)]
    with pytest.raises(DataError, match="no n-gram occurs in two training texts"):
        build_texts(path=str(write_jsonl(tmp_path / "t.jsonl", rows)))


def test_near_copies_in_two_splits_are_told(tmp_path: Path, build_texts: Build) -> None:
    rows = [*reviews(60), *(("your code is " + str(1000 + i) + ", keep it secret", "bad") for i in range(30))]
    dataset = build_texts(path=str(write_jsonl(tmp_path / "t.jsonl", rows)))
    assert any("closely resemble one of an earlier split" in note for note in dataset.manifest.notes)
    without = build_texts(path=str(tmp_path / "t.jsonl"), prepare={"alike": "leave_out"})
    assert without.manifest.counts["train"] < dataset.manifest.counts["train"]
