"""What all else knows of a sample: contents it may have, how its rows are stored, and what keeps one from being taken.

A kind of data (images, ...) has nine parts, each a protocol of a file here and a module of the kind's own folder, so that a
stage's code digest holds only those that it uses: `keys` (its keys of `data.*` and `augment.*`), `reading` (from contents to
rows, in `prepare`), `inputs` (from stored rows to what a network takes), `views` (augmentation), `showing` (pictures), `leaks`
(what gives an answer away), `baselines` (what simple methods see), `occlusion` (parts that can be hidden) and `fields` (what
somebody fills in). A kind of the user's own is one object that has all but the last four, which it may have (`KINDS` of
`extensions.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

BUILT_IN = ("image", "table", "audio", "text")
"""Kinds by `data.kind`: each a folder beside this file."""
FEATURES = "features"
"""What a pretrained network has made of samples: a folder beside those, of which nobody's data can be."""
HOUSE = (*BUILT_IN, FEATURES)
DEFAULT = "image"
"""The kind of what says none: records of older versions."""
Content = bytes | Path | NDArray[Any]
"""Encoded bytes, the file that holds them, or an array."""
Contents: TypeAlias = "list[Content | None] | pa.RecordBatch"
"""Of several samples: the content of each, None where there is none; or a batch, rows of a table whose columns are text."""
Fit = dict[str, Any]
"""What was learned from the training split alone, as JSON: part of `dataset.json` and `model.json`."""


class BadSampleError(Exception):
    """Why one sample can't be taken; caught where samples are read, and listed in rejected.csv."""


@dataclass(frozen=True)
class Layout:
    """How rows are stored."""

    shape: tuple[int, ...]
    """Of one row; where rows are ragged, of one of its items."""
    dtype: np.dtype[Any]
    ragged: bool = False
    """Whether a row is any number of items, along its first axis."""
    windows: bool = False
    """Whether a sample owns any number of rows, at least one; else it is one row."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else decoding needs of the whole dataset."""

    @property
    def num_bytes(self) -> int:
        """Of one row or, where rows are ragged, of one item."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def is_plain(self) -> bool:
        """Whether a sample is one row of the one shape."""
        return not (self.ragged or self.windows)


def loaded(content: Content) -> bytes | NDArray[Any]:
    """The content in memory; BadSampleError where its file can't be read."""
    if not isinstance(content, Path):
        return content
    try:
        found = content.read_bytes()
    except OSError as error:
        raise BadSampleError(f"can't be read ({error.strerror})") from None
    if not found:
        raise BadSampleError("empty file")
    return found
