"""Tables opened as text or bytes, also packed ones; what keeps one from being read is told with its place."""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.prepare.sources.encoding import not_utf8
from pipeline.prepare.sources.layout import readable_name


@contextmanager
def text(path: Path) -> Iterator[io.TextIOWrapper]:
    """The text of a table, unpacked."""
    csv.field_size_limit(sys.maxsize)  # a text may be longer than 128 kB
    opener: Callable[..., Any] = gzip.open if _is_packed(path) else open
    with readable(path), opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        yield file


@contextmanager
def stream(path: Path) -> Iterator[Any]:
    import pyarrow as pa

    with pa.input_stream(str(path), compression="gzip" if _is_packed(path) else None) as stream:
        yield stream


def _is_packed(path: Path) -> bool:
    with readable(path), path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def readable(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from None
    except EOFError:
        raise DataError(f"{readable_name(path)}: the .gz is cut short; get it again") from None
    except csv.Error as error:
        raise DataError(f"{readable_name(path)}: not a table ({error})") from None
    except OSError as error:
        raise DataError(f"{readable_name(path)}: can't be read ({error.strerror or error})") from None


def check_utf8(path: Path) -> None:
    """DataError at the first byte that is no text."""
    with text(path) as file:
        for _ in file:
            pass
