"""What a source hands over: samples with lazy contents, and what keeps one from being taken. Knows nothing of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from numpy.typing import NDArray

Content = bytes | Path | NDArray[Any]
"""Encoded bytes, the file that holds them, or an array (H, W) or (H, W, channels)."""


class BadSampleError(Exception):
    """Why one sample can't be taken; caught where samples are read, and listed in rejected.csv."""


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


def loaded(content: Content) -> bytes | NDArray[Any]:
    """The content in memory; BadSampleError where its file can't be read."""
    if not isinstance(content, Path):
        return content
    try:
        found = content.read_bytes()
    except OSError as error:
        raise BadSampleError(f"can't be read ({error.strerror})") from None
    if not found:
        raise BadSampleError("empty file")
    return found
