"""What suits samples by how many they are and how large, where that is not what their kind takes of itself.

A kind may lack this part; then nothing is known to suit some of its samples better.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol, cast


class Suited(Protocol):
    """What a kind knows of it."""

    MANY: int
    """So many samples are no fewer than any more."""

    def measured(self, contents: Sequence[Any]) -> Any:
        """Of a few contents, by their headers, what the others ask for; None where none can be read."""

    def said(self, num: int, few: Any) -> str:
        """So many of them, such as the few, in words."""

    def suited_to(self, num: int, few: Any, source: str) -> tuple[str, ...]:
        """The overrides that are known to suit them better than what a file of conf/data takes by itself."""


WITH = ("image",)
"""Kinds that have it."""


def suited_of(kind: str) -> Suited | None:
    """None where the kind lacks it."""
    return cast(Suited, import_module(f"pipeline.kinds.{kind}.suited")) if kind in WITH else None
