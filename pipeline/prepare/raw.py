"""What a source hands over: samples with lazy contents, and what keeps one from being taken. Knows nothing of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pipeline.kinds.kind import Content


class Raw(NamedTuple):
    """One sample as the user has it."""

    source: str
    """File that it comes from, relative to the data's folder."""
    row: int | None
    """Row in that file, counted as the format's users do; None where the file is the sample."""
    labels: tuple[str, ...]
    """One label, or any number where a sample may have several."""
    content: Content | None
    num_bytes: int
    """Size of the content before decoding."""
    split: str | None = None
    """The given split."""
    group: str | None = None
    problem: str | None = None
    """Why the source itself can't give this sample."""


@dataclass(frozen=True)
class Source:
    """All samples of a place: `read` gives the same ones in the same order each time it is called."""

    task: Literal["single", "multi"]
    read: Callable[[], Iterator[Raw]]
    num_samples: int | None
    """None where counting would mean reading."""
    classes: tuple[str, ...] | None
    """Names in the order that the source declares; None: those that occur, sorted."""
    notes: tuple[str, ...] = ()
    switches: int | None = None
    """Where the labels come from columns or lists of 0 and 1: how many; None: they are names."""
    hints: tuple[str, ...] = ()
    """Lines to say where too many samples can't be taken: what may be meant, with commands."""
