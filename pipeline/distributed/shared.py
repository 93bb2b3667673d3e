"""Data in Ray's object store: put there once, read by every process of a node without a copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.dataset import Dataset, Manifest, Split


@dataclass(frozen=True)
class SharedData:
    """A dataset's arrays by split."""

    manifest: Manifest
    splits: dict[str, Split]

    @classmethod
    def of(cls, data: Dataset, names: Sequence[str]) -> SharedData:
        """These splits of a dataset; nothing is read before they are put into the store."""
        splits = {name: data.split(name) for name in names}
        return cls(data.manifest, {name: Split(*map(np.asarray, (s.inputs, s.labels, s.ids))) for name, s in splits.items()})

    def split(self, name: str) -> Split:
        """One of those that were shared."""
        return self.splits[name]
