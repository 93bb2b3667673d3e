"""Which preset suits images, by how many they are and how large."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipeline.kinds.image.decoding import ImageRule, inspect
from pipeline.kinds.kind import BadSampleError

MANY, SMALL = 10_000, 40
"""So many images of at most so many pixels a side take preset=images: CIFAR-10's 45,134 of 32 x 32 have 0.91
with it (docs/log.md)."""
FEW = 1_000
"""Fewer images that are larger take preset=few-photos: 372 photos of clothing have 0.78 with it, and 0.71 with preset=photos,
whose third of the epochs is enough for more (docs/log.md)."""
AS_FOLDER = ("data.size=64", "data.channels=rgb")
"""What data=folder takes of itself beside preset=photos, for photos that Parquet holds."""
_RULE = ImageRule(max_pixels=10**9, size=None, resize="pad")


class Measured(NamedTuple):
    """Of a few images."""

    side: int
    """Pixels of the longer side, in the median."""
    grey: bool
    """Whether all are."""


def measured(contents: Sequence[Any]) -> Measured | None:
    """As `Suited`."""
    found = [*_each(contents)]
    if not found:
        return None
    return Measured(round(statistics.median(one.side for one in found)), all(one.grey for one in found))


def said(num: int, few: Measured) -> str:
    """Counted up to MANY."""
    many = f"{MANY:,} {'grey ' if few.grey else ''}images or more" if num >= MANY else f"{num:,} images"
    return f"{many} of about {few.side} pixels a side"


def suited_to(num: int, few: Measured, source: str) -> tuple[str, ...]:
    """As `Suited`. Small grey images may be writing, of which left and right mean something: they are not mirrored."""
    if num >= MANY and few.side <= SMALL:
        return ("preset=images", "augment.flip=0") if few.grey else ("preset=images",)
    if few.side <= SMALL:
        return ()
    preset = ("preset=few-photos",) if num < FEW else ("preset=photos",) if source == "parquet" else ()
    return (*preset, *AS_FOLDER) if source == "parquet" else preset


def _each(contents: Sequence[Any]) -> Iterator[Measured]:
    """What can't be read is told by who reads the data."""
    for content in contents:
        if isinstance(content, np.ndarray):
            yield Measured(max(sorted(content.shape)[-2:], default=0), content.ndim == 2 or 1 in content.shape)
            continue
        try:
            header = inspect(content, _RULE)
        except BadSampleError:
            continue
        yield Measured(max(header.height, header.width), header.channels == 1)
