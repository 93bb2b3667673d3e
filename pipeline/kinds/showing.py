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


class CopyShowing(Showing, Protocol):
    """Of a kind that shows a view otherwise than a sample, or beside its original even where it has a picture."""

    def shown_copy(self, view: NDArray[Any], original: NDArray[Any], fit: Fit, words: str) -> Markup:
        """A view in the report, beside its original, from which it may be told apart; otherwise as `shown`."""


def showing_of(kind: str) -> Showing:
    """The pictures of a kind."""
    if kind in BUILT_IN:
        return cast(Showing, import_module(f"pipeline.kinds.{kind}.showing"))
    return cast(Showing, extended(kind))


def shown_copy(kind: str, view: NDArray[Any], original: NDArray[Any], fit: Fit, words: str) -> Markup:
    """A view of a kind in the report, beside its original."""
    found = showing_of(kind)
    if hasattr(found, "shown_copy"):
        return cast(CopyShowing, found).shown_copy(view, original, fit, words)
    return found.shown(view, fit, words)
