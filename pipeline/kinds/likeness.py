"""Which samples show the same thing although their contents differ: a copy saved anew, scaled, or with another last digit.

A kind of the user's own may lack this part; then nobody looks for such samples.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.keyed import U64
from pipeline.kinds.extended import extended
from pipeline.kinds.kind import BUILT_IN, Layout


class Likeness(Protocol):
    """How alike stored rows are. Whole numbers decide, so that it is the same everywhere."""

    LIKENESS_BITS: int
    """Fingerprints of rows that may be alike differ in at most so many bits."""

    def fingerprints(self, rows: NDArray[Any], layout: Layout) -> U64:
        """(n,) of rows (n, *shape)."""

    def alike(self, one: NDArray[Any], other: NDArray[Any], common: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which pairs (n,) of rows with near fingerprints are alike. common (n,): many others have such a fingerprint."""


def likeness_of(kind: str) -> Likeness | None:
    """The likeness of a kind's rows."""
    if kind in BUILT_IN:
        return cast(Likeness, import_module(f"pipeline.kinds.{kind}.likeness"))
    found = extended(kind)
    return cast(Likeness, found) if hasattr(found, "fingerprints") else None
