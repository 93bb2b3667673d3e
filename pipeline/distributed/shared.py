"""Data in Ray's object store: put there once, read by every process of a node without a copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import Dataset, Manifest, Split, Stored


@dataclass(frozen=True)
class SharedData:
    """A dataset's arrays by split."""

    manifest: Manifest
    splits: dict[str, Split]

    @classmethod
    def of(cls, data: Dataset, names: Sequence[str]) -> SharedData:
        """These splits of a dataset; nothing is read before they are put into the store."""
        own = {name: data.split(name) for name in names}
        return cls(data.manifest, {name: Split(**_arrays(split)) for name, split in own.items()})

    def split(self, name: str) -> Split:
        """One of those that were shared."""
        return self.splits[name]


def _arrays(split: Split) -> dict[str, NDArray[Any]]:
    """Those that it has, by name."""
    named = {field.name: getattr(split, field.name) for field in fields(split)}
    return {name: np.asarray(array) for name, array in named.items() if array is not None}


def in_memory(rows: Stored) -> Stored:
    """Rows that are mapped files no longer."""
    return Stored(np.asarray(rows.values), None if rows.offsets is None else np.asarray(rows.offsets))
