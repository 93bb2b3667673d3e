"""What somebody fills in who has a sample in mind and no file of it: the named parts of it.

A kind may lack this part; then its samples come as files, texts or arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple, Protocol, cast

from pipeline.kinds.extended import extended
from pipeline.kinds.kind import BUILT_IN, Fit


class Field(NamedTuple):
    """One part of a sample."""

    name: str
    type: str
    """number, category or date."""
    values: Sequence[str]
    """Of a category: those that training has seen."""
    example: str
    """A usual value, as it is written."""


class Fields(Protocol):
    """How a kind's samples are filled in."""

    def fields(self, fit: Fit) -> list[Field]:
        """The parts that an answer needs, in the order of the data."""


WITH = ("table",)
"""Kinds that come along and have it."""


def fields_of(kind: str, fit: Fit) -> list[Field]:
    """The parts of a kind's samples; none where they have no names."""
    if kind in WITH:
        return cast(Fields, import_module(f"pipeline.kinds.{kind}.fields")).fields(fit)
    if kind in BUILT_IN:
        return []
    found = extended(kind)
    return cast(Fields, found).fields(fit) if hasattr(found, "fields") else []
