"""JSON lines: an object a line, whose values are the cells of a row as text."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from pipeline.errors import DataError
from pipeline.prepare.sources.layout import readable_name

LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
LOOKED_AT = 1000
"""First lines that say which columns there are."""
_PACKED = b"\x1f\x8b"
Cells = dict[str, str]


def is_lines(path: Path) -> bool:
    """By its name."""
    return path.name.lower().endswith(LINES)


def rows_of_lines(path: Path) -> Iterator[tuple[int, Cells | str]]:
    """The number of each line that is not blank, and its cells by column or why it is no row."""
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, _cells(line)


def columns_of_lines(path: Path) -> list[str]:
    """Those of the first rows, in the order in which they occur; DataError where there are none."""
    found: dict[str, None] = {}
    for _, cells in itertools.islice(rows_of_lines(path), LOOKED_AT):
        found |= dict.fromkeys(cells if isinstance(cells, dict) else ())
    if not found:
        raise DataError(f"{readable_name(path)}: none of its first lines is a JSON object, such as {_EXAMPLE}")
    return list(found)


_EXAMPLE = '{"text": "a fine film", "label": "good"}'


def _cells(line: bytes) -> Cells | str:
    try:
        found = json.loads(line.strip().decode("utf-8-sig"), parse_float=str, parse_int=str, parse_constant=str)
    except UnicodeDecodeError as error:
        return f"byte {error.start} of the line is not UTF-8"
    except (ValueError, RecursionError) as error:
        return f"the line is not JSON ({error})"
    if not isinstance(found, dict):
        return "the line is no JSON object"
    nested = [name for name, value in found.items() if isinstance(value, dict | list)]
    if nested:
        return f"{nested[0]!r} holds a list or an object, which is no cell; several labels are one text, such as a|b"
    return {name.strip(): _text(value) for name, value in found.items()}


def _text(value: Any) -> str:
    """Numbers as they are written, truth values as JSON has them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else cast(str, value).encode("utf-8", "replace").decode().strip()


def batches_of_lines(path: Path, most_bytes: int) -> Iterator[list[tuple[int, Cells | str]]]:
    """Rows in portions of about so many bytes of text."""
    portion, size = list[tuple[int, Cells | str]](), 0
    for number, cells in rows_of_lines(path):
        portion.append((number, cells))
        size += sum(map(len, cells.values())) if isinstance(cells, dict) else 0
        if size >= most_bytes:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _PACKED
        with gzip.open(path, "rb") if packed else path.open("rb") as opened:
            yield cast(IO[bytes], opened)
    except EOFError:
        raise DataError(f"{readable_name(path)}: the .gz is cut short; get it again") from None
    except OSError as error:
        raise DataError(f"{readable_name(path)}: can't be read ({error.strerror or error})") from None
