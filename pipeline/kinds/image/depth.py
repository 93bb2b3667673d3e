"""Values of more than 8 bits, made 8 by one range for the whole dataset: 10, 12 or 16 bits, counts, floats.

Never by each image's own range: that would make a dark image as bright as a light one. The fewest bits that hold the largest
value of the dataset are taken rather than that value itself, so that a new sample seldom changes the others; the source's
digest, and so the dataset's, changes with every sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.kinds.kind import BadSampleError
from pipeline.wording import counted

EIGHT, WHOLE, FLOAT, COLOUR = range(4)
"""COLOUR: 16 bits a channel, of which the decoder gives the upper 8 alone."""
LARGEST = 2**40
"""Beyond this no exact arithmetic is promised, and no image is meant."""


@dataclass(frozen=True)
class Range:
    """The values that become 0 and 255."""

    low: int
    high: int

    def is_own(self) -> bool:
        """Whether values stay as they are."""
        return (self.low, self.high) == (0, 255)

    def eight_bits(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Rounded to the nearest of 0 to 255, halves upwards; exact for whole numbers."""
        span = self.high - self.low
        if values.dtype.kind == "f":
            return np.floor((values.astype(np.float64) - self.low) * (255 / span) + 0.5).astype(np.uint8)
        return (((values.astype(np.int64) - self.low) * 510 + span) // (2 * span)).astype(np.uint8)


def is_deep(values: NDArray[Any]) -> bool:
    """Whether values may not fit into 8 bits, going by their type alone: a dark image counts as its bright neighbours."""
    return values.dtype != np.uint8


def extent_of(values: NDArray[Any], bits: int | None) -> tuple[int, int, int]:
    """Depth of an image and the bounds of its values, rounded outwards; BadSampleError where they are no brightness."""
    if not is_deep(values):
        return EIGHT, 0, 0
    least, most = values.min(), values.max()
    if not (np.isfinite(least) and np.isfinite(most)):
        raise BadSampleError("pixels that are infinite or not a number")
    low, high = int(np.floor(least)), int(np.ceil(most))
    if max(-low, high) > LARGEST:
        raise BadSampleError(f"pixels of {least:g} to {most:g}; at most 2^40 is allowed")
    if bits is not None and (low < 0 or high >= 2**bits):
        raise BadSampleError(f"pixels of {least:g} to {most:g}, beyond data.bits = {bits} (0 to {2**bits - 1})")
    return FLOAT if values.dtype.kind == "f" else WHOLE, low, high


def common_range(depths: NDArray[np.int64], bits: int | None, name: Callable[[int], str]) -> Range | None:
    """The range of all images of more than 8 bits, from their depths and bounds (N, 3); None where there are none."""
    _check_colour(depths, name)
    deep = _deep(depths)
    if not len(deep):
        return None
    if bits is not None:
        return Range(0, 2**bits - 1)
    kinds, first = np.unique(depths[deep, 0], return_index=True)
    if len(kinds) > 1:
        whole, floats = (name(int(deep[i])) for i in first)
        raise DataError(
            f"some images are whole numbers of more than 8 bits (such as {whole}) and others floats ({floats}), which have no "
            "common range; store them alike, or set data.bits"
        )
    low, high = int(depths[deep, 1].min()), int(depths[deep, 2].max())
    if low < 0:
        return Range(low, max(high, low + 1))
    if kinds[0] == FLOAT and high <= 1:
        return Range(0, 1)
    return Range(0, 2 ** max(8, high.bit_length()) - 1)


def _deep(depths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.flatnonzero((depths[:, 0] == WHOLE) | (depths[:, 0] == FLOAT))


def _check_colour(depths: NDArray[np.int64], name: Callable[[int], str]) -> None:
    """DataError where the upper 8 bits of all 16-bit colour images hold next to nothing: they would be nearly black."""
    colour = np.flatnonzero(depths[:, 0] == COLOUR)
    if len(colour) and depths[colour, 2].max() < 2**14:
        raise DataError(
            f"{len(colour)} colour images of 16 bits (such as {name(int(colour[0]))}) hold values below "
            f"{depths[colour, 2].max() + 1} only, and just the upper 8 of their bits can be read, so that they would be nearly "
            "black: save them with 8 bits, scaled by one factor for all"
        )


def range_notes(depths: NDArray[np.int64], values: Range | None, bits: int | None, name: Callable[[int], str]) -> list[str]:
    """What was done to images of more than 8 bits, and how to do otherwise; nothing where it changed no value."""
    if values is None or values.is_own():
        return []
    deep = _deep(depths)
    brightest = int(deep[np.argmax(depths[deep, 2])])
    why = f"by data.bits = {bits}"
    if bits is None:
        why = f"since the largest value is {depths[brightest, 2]} (in {name(brightest)}); data.bits sets another range"
    return [f"{counted(len(deep), 'image')} of more than 8 bits: {values.low} to {values.high} became 0 to 255, {why}"]
