"""What makes results too good: samples that show the same thing although their contents differ, single features that know
the answer.

A kind may lack this part; then nobody looks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.keyed import U64
from pipeline.kinds.extended import extended
from pipeline.kinds.kind import BUILT_IN, Layout


class Feature(NamedTuple):
    """One thing that is known of each sample."""

    name: str
    values: NDArray[np.float64]
    """(n,), NaN where it is missing."""
    ordered: bool
    """Whether near values are alike; else each is its own."""
    column: str
    """That it is of."""


class Leaks(Protocol):
    """How a kind's stored rows tell of them. Whole numbers decide what is alike, so that it is the same everywhere."""

    EQUAL_BY_CHANCE: bool
    """Whether samples may have equal contents although they are no copies."""
    LIKENESS_BITS: int
    """Fingerprints of rows that may be alike differ in at most so many bits."""

    def fingerprints(self, rows: Any, layout: Layout) -> U64:
        """(n,) of rows (n, *shape), or of a list of ragged ones; likewise the next."""

    def alike(self, one: Any, other: Any, common: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which pairs (n,) of rows with near fingerprints are alike. common (n,): many others have such a fingerprint."""

    def features(self, rows: Callable[[], NDArray[Any]], layout: Layout, data: Any) -> Iterator[Feature]:
        """What each feature by itself says of rows, which are (n, *shape) once they are asked for; none where none means
        anything by itself."""

    def leaving_out(self, columns: Sequence[str], data: Any) -> str:
        """The override that leaves columns out."""


WITHOUT = ("audio",)
"""Kinds that come along and lack it. A difference hash of spectrograms finds a third of all pairs of spoken digits alike."""


def leaks_of(kind: str) -> Leaks | None:
    """What a kind knows of leaks; None where it knows nothing."""
    if kind in WITHOUT:
        return None
    if kind in BUILT_IN:
        return cast(Leaks, import_module(f"pipeline.kinds.{kind}.leaks"))
    found = extended(kind)
    return cast(Leaks, found) if hasattr(found, "fingerprints") else None
