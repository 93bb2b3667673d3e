"""What suits samples that lie somewhere, seen by their names and a few headers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.kinds.suited import Suited, suited_of
from pipeline.prepare.recognition import PICTURES, TRIED
from pipeline.prepare.sources.parquet import first_cells, rows_in
from pipeline.prepare.sources.tree import Folder

KINDS = {"folder": "image", "parquet": "image"}
"""Files of conf/data, and the kind of samples that they read."""


def suited_at(path: Path, source: str, column: str) -> tuple[tuple[str, ...], str]:
    """Overrides that suit what lies there for a source better than what that takes by itself, and what was seen; none where
    nothing is known to, or nothing is there. column: of a table that holds the samples."""
    kind = suited_of(KINDS[source]) if source in KINDS else None
    if kind is None:
        return (), ""
    num, contents = _in_folder(path, kind) if source == "folder" else _in_parquet(path, column)
    few = kind.measured(contents)
    return ((), "") if few is None else (kind.suited_to(num, few, source), kind.said(num, few))


def _in_folder(path: Path, kind: Suited) -> tuple[int, list[Any]]:
    names = (folder.path / name for folder in Folder(path).walk() for name in folder.files)
    files = [*itertools.islice((name for name in names if name.suffix.lower().lstrip(".") in PICTURES), kind.MANY)]
    return len(files), files[:: max(1, len(files) // TRIED)][:TRIED]


def _in_parquet(path: Path, column: str) -> tuple[int, list[Any]]:
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    cells = first_cells(files[0]).get(column, []) if files else []
    return sum(map(rows_in, files)), [cell if isinstance(cell, bytes) else np.array(cell) for cell in cells if _holds(cell)]


def _holds(cell: Any) -> bool:
    """Whether a cell is a sample itself, not the name of one."""
    return isinstance(cell, bytes) or (isinstance(cell, Sequence) and not isinstance(cell, str))
