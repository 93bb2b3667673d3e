"""A few training samples beside views of them, as stored: what `augment` keeps for people, and the report shows."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts import storage_errors, write_bytes
from pipeline.errors import StorageError

FILE = "examples.npz"
SAMPLES, COPIES = 4, 3


class Example(NamedTuple):
    """A training sample: its label in words, the row as stored, and views of it likewise."""

    name: str
    original: NDArray[Any]
    copies: list[NDArray[Any]]


def write_examples(folder: Path, examples: Sequence[Example]) -> None:
    """Write them whole; the same bytes every time."""
    arrays = {"names": np.array([example.name for example in examples])}
    for i, example in enumerate(examples):
        arrays |= {f"{i}-{j}": row for j, row in enumerate([example.original, *example.copies])}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_bytes(folder / FILE, content.getvalue())


def read_examples(folder: Path) -> list[Example]:
    """What was written there; nothing where there is no such file. StorageError where it is torn."""
    path = folder / FILE
    if not path.exists():
        return []
    with storage_errors(path):
        content = io.BytesIO(path.read_bytes())
    try:
        with np.load(content, allow_pickle=False) as arrays:
            names = arrays["names"].tolist()
            rows = [[arrays[f"{i}-{j}"] for j in range(1 + COPIES)] for i in range(len(names))]
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise StorageError(f"{path}: not whole ({error}); run `dvc repro --force augment` again") from None
    return [Example(name, own[0], own[1:]) for name, own in zip(names, rows, strict=True)]
