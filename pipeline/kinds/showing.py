"""How samples are shown to people: in the report, and in the picture of an augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.keyed import U64
from pipeline.kinds.extended import extended
from pipeline.kinds.kind import BUILT_IN, Fit


@dataclass(frozen=True)
class Examples:
    """A few samples to show: rows (N, *shape) as stored, ids (N,), one name each."""

    rows: Sequence[NDArray[Any]]
    ids: U64
    names: list[str]


class Showing(Protocol):
    """A kind's pictures."""

    NOUN: str
    """What several samples are called."""

    def shown(self, row: NDArray[Any], fit: Fit, words: str) -> Markup:
        """A sample in the report; `words` say the same to those who can't see it."""

    def preview(self, examples: Examples, policy: Any) -> bytes | None:
        """PNG of what a policy does, the same bytes every time; None: this kind has no picture."""


def showing_of(kind: str) -> Showing:
    """The pictures of a kind."""
    if kind in BUILT_IN:
        return cast(Showing, import_module(f"pipeline.kinds.{kind}.showing"))
    return cast(Showing, extended(kind))
