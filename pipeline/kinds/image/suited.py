"""Which preset suits images, by how many they are and how large."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pipeline.kinds.image.decoding import ImageRule, inspect
from pipeline.kinds.kind import BadSampleError

MANY, SMALL = 10_000, 40
"""So many images of at most so many pixels a side take preset=images: CIFAR-10's 45,134 of 32 x 32 have 0.88 with it within
12 epochs (docs/log.md)."""
PHOTO_KEYS = ("preset=photos", "data.size=64", "data.channels=rgb")
"""What data=folder takes of itself, for photos that Parquet holds: 372 photos of clothing have 0.79 with it (docs/log.md)."""
_RULE = ImageRule(max_pixels=10**9, size=None, resize="pad")


def size(contents: Sequence[Any]) -> int | None:
    """Pixels of the longer side, in the median."""
    sides = [*_sides(contents)]
    return round(statistics.median(sides)) if sides else None


def said(num: int, size: int) -> str:
    """Counted up to MANY."""
    many = f"{MANY:,} images or more" if num >= MANY else f"{num:,} images"
    return f"{many} of about {size} pixels a side"


def suited_to(num: int, size: int, source: str) -> tuple[str, ...]:
    """As `Suited`."""
    if num >= MANY and size <= SMALL:
        return ("preset=images",)
    return PHOTO_KEYS if source == "parquet" and size > SMALL else ()


def _sides(contents: Sequence[Any]) -> Iterator[int]:
    """The longer side of each that is an image; what can't be read is told by who reads the data."""
    for content in contents:
        if isinstance(content, np.ndarray):
            yield max(sorted(content.shape)[-2:], default=0)
            continue
        try:
            header = inspect(content, _RULE)
        except BadSampleError:
            continue
        yield max(header.height, header.width)
