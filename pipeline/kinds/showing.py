"""How samples are shown to people: in the report, and in the picture of an augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
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


@dataclass(frozen=True)
class Parts:
    """What the answer to a sample came from, part by part."""

    strengths: NDArray[np.float64]
    """(P,) from -1 to 1: how much a part speaks for the answer, below 0 against it; of numbers how much it raises it.
    None reaches either where even the strongest changes the answer little."""
    without: list[str]
    """In words, the answer without each part."""

    def strongest(self, num: int) -> list[int]:
        """The parts of most influence, the strongest first; none that has next to none."""
        order = np.argsort(-np.abs(self.strengths), kind="stable")[:num]
        return [part for part in order.tolist() if abs(self.strengths[part]) >= FAINT]


FAINT = 0.2
"""A part of less strength is not told apart from others."""


class PartShowing(Showing, Protocol):
    """Of a kind that hides parts of a sample (occlusion.py)."""

    def shown_parts(self, row: NDArray[Any], fit: Fit, words: str, parts: Parts) -> Markup:
        """One row of a sample in the report, with what the answer came from; otherwise as `shown`."""


def without(names: Sequence[str], parts: Parts, chosen: Sequence[int]) -> Markup:
    """A list of what the answer is without each of some parts (names: of all)."""
    line = Markup('<li class="{}"><span class="part"><bdi>{}</bdi></span> <span class="left">{}</span></li>')
    lines = [line.format(side(parts.strengths[part]), names[part], parts.without[part]) for part in chosen]
    return (
        Markup('<ul class="without" aria-label="The answer without a part">{}</ul>').format(Markup("").join(lines))
        if lines
        else Markup("")
    )


def side(strength: float) -> str:
    """The class of a part on the page."""
    return "for" if strength >= 0 else "against"


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
