"""From what was sent to samples: the forms in which a network takes them, and what is wrong with others.

A file is one sample, or a table with a sample a row. A list of images that names other files is never read as such: it
comes from elsewhere, and what it names lies here.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from pipeline.kinds.inputs import inputs_of
from pipeline.prediction.model import Model
from pipeline.prediction.serving.refused import Limits, RefusedError, too_many

Json = Literal["rows", "texts", "arrays"]
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
"""That are read from elsewhere. Packed ones and Parquet may become a thousand times as large."""
_PACKED = (b"\x1f\x8b", b"PAR1")
_SHOWN = 60


@dataclass(frozen=True)
class Taken:
    """What a network takes."""

    json: Json | None
    """The field of a JSON body; None: files alone."""
    tables: bool
    """Whether a file may be a table with a sample a row."""
    alone: bool
    """Whether a file may be one sample."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    """Of one array as stored."""


def taken_by(model: Model) -> Taken:
    """By what the keys of its kind say of samples. StorageError where `model.json` does not say how they are read."""
    data, layout = model.reader.data(), model.reader.layout
    given = hasattr(inputs_of(model.predictor.kind), "as_stored")
    arrays: Json | None = "arrays" if layout.is_plain and not given else None
    form = "rows" if data.content_key is None else "texts" if data.in_cells else arrays
    return Taken(form, data.content_key is None or data.in_cells, data.content_key is not None, layout.shape, layout.dtype)


def samples_in(body: bytes, taken: Taken, limits: Limits) -> tuple[str, Any]:
    """The field of a JSON body and its samples, as `Model.predict` takes them."""
    if taken.json is None:
        raise RefusedError(
            "Content-Type",
            "this network takes files, as multipart/form-data",
            "application/json",
            ["multipart/form-data"],
            status=415,
        )
    name, given = taken.json, _parsed(body)
    if not isinstance(given, dict) or [*given] != [name]:
        fields = sorted(map(str, given)) if isinstance(given, dict) else type(given).__name__
        raise RefusedError("body", f'an object with one field is expected, {{"{name}": [...]}}', fields, [name])
    samples = given[name]
    if not isinstance(samples, list) or not samples:
        raise RefusedError(name, "a list with at least one sample is expected", str(samples)[:_SHOWN], "a list")
    if len(samples) > limits.items:
        raise too_many(name, len(samples), limits)
    if name == "arrays":
        return name, _array(samples, taken)
    for i, sample in enumerate(samples):
        _check_text(f"texts[{i}]", sample) if name == "texts" else _check_row(f"rows[{i}]", sample)
    return name, samples


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_not_finite)
    except (ValueError, RecursionError) as error:
        said = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "text of UTF-8"
        raise RefusedError("body", f"no JSON ({said})", status=400) from None


def _not_finite(word: str) -> NoReturn:
    raise RefusedError("body", f"{word} is no number of JSON; null stands for a missing value", word, "finite numbers")


def _check_text(place: str, value: Any) -> None:
    if not isinstance(value, str):
        raise RefusedError(place, f"{type(value).__name__}, and a text is expected", str(value)[:_SHOWN], "a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RefusedError(place, "half of a surrogate pair is no character", None, "Unicode") from None


def _check_row(place: str, row: Any) -> None:
    if not isinstance(row, dict):
        raise RefusedError(
            place, f"{type(row).__name__}, and an object with the columns' values is expected", str(row)[:_SHOWN], "an object"
        )
    for name, cell in row.items():
        _check_text(f"{place}: a column's name", name)
        _check_cell(f"{place}.{name}"[:200], cell)


def _check_cell(place: str, cell: Any) -> None:
    if isinstance(cell, str):
        _check_text(place, cell)
    elif isinstance(cell, list | dict):
        raise RefusedError(place, "a text, a number, true, false or null is expected", str(cell)[:_SHOWN], "one value")
    elif isinstance(cell, int) and not -(2**63) <= cell < 2**63:
        raise RefusedError(place, "whole numbers have 64 bits; send it as a text", str(cell)[:_SHOWN], "-2^63 to 2^63 - 1")


def _array(samples: list[Any], taken: Taken) -> NDArray[Any]:
    """(n, *shape) as stored."""
    values, expected = _numbers(samples), f"n x {' x '.join(map(str, taken.shape))}"
    if values is None or values.shape[1:] != taken.shape:
        given = "no numbers in lists of one length" if values is None else " x ".join(map(str, values.shape))
        raise RefusedError("arrays", f"{given}; numbers of the shape {expected} are expected", given, expected)
    low, high = _range(taken.dtype)
    whole = taken.dtype.kind in "iu"
    wrong = ~((values >= low) & (values <= high)) | (whole & (values % 1 != 0))
    if wrong.any():
        one, what = values[wrong][0].item(), "whole numbers" if whole else "numbers"
        raise RefusedError("arrays", f"{one}; {what} from {low:g} to {high:g} are expected", one, [low, high])
    return values.astype(taken.dtype)


def _numbers(samples: list[Any]) -> NDArray[Any] | None:
    """None where it is something else, or of different lengths."""
    try:
        values = np.array(samples)
    except (ValueError, OverflowError):
        return None
    return values if values.dtype.kind in "iuf" else None


def _range(dtype: np.dtype[Any]) -> tuple[float, float]:
    told = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    return float(told.min), float(told.max)


def is_table(name: str, taken: Taken) -> bool:
    """Whether a file is one with a sample a row."""
    return taken.tables and (not taken.alone or name.lower().endswith(TABLES))


@contextmanager
def table_of(name: str, content: bytes) -> Iterator[Path]:
    """A table that was sent, as a file that nobody else can read; RefusedError where it is packed."""
    if content.startswith(_PACKED):
        raise RefusedError(
            name,
            "packed tables and Parquet are not taken; send CSV, TSV or JSON lines",
            None,
            [suffix.removeprefix(".") for suffix in TABLES],
        )
    suffix = next((suffix for suffix in TABLES if name.lower().endswith(suffix)), ".csv")
    with tempfile.TemporaryDirectory(prefix="regatta-") as folder:
        path = Path(folder) / f"upload{suffix}"
        path.write_bytes(content)
        yield path
