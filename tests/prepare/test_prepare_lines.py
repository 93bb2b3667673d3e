"""JSON lines: cells as they are written, and a table of lines that are no rows."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.prepare.sources.lines import columns_of_lines, rows_of_lines

CASES = {
    '{"a": 1.50, "b": "007"}': {"a": "1.50", "b": "007"},
    '{"a": true, "b": null, " c ": " x "}': {"a": "true", "b": "", "c": "x"},
    '{"a": NaN, "b": 12345678901234567890}': {"a": "NaN", "b": "12345678901234567890"},
    '{"a": "\\ud800"}': {"a": "?"},
    "{": "the line is not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))",
    "[1]": "the line is no JSON object",
    '{"a": [1, 2]}': "'a' holds a list or an object, which is no cell; several labels are one text, such as a|b",
    "[" * 100_000: "the line is not JSON (maximum recursion depth exceeded while decoding a JSON array from a unicode string)",
}


@pytest.mark.parametrize("packed", [False, True])
def test_rows_are_numbered_by_their_lines(tmp_path: Path, packed: bool) -> None:
    content = "\ufeff" + "".join(f"{line}\n\n" for line in CASES)
    path = tmp_path / ("t.jsonl.gz" if packed else "t.jsonl")
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    assert dict(rows_of_lines(path)) == {2 * i + 1: cells for i, cells in enumerate(CASES.values())}
    assert columns_of_lines(path) == ["a", "b", "c"]


def test_a_byte_that_is_no_text_is_told_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(b'{"a": 1}\n{"a": "\xe9"}\n')
    assert dict(rows_of_lines(tmp_path / "t.jsonl"))[2] == "byte 7 of the line is not UTF-8"


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("[]\n")
    with pytest.raises(DataError, match=r"t\.jsonl: none of its first lines is a JSON object"):
        columns_of_lines(tmp_path / "t.jsonl")
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:-9])
    with pytest.raises(DataError, match=r"t\.jsonl\.gz: the \.gz is cut short; get it again"):
        columns_of_lines(tmp_path / "t.jsonl.gz")
