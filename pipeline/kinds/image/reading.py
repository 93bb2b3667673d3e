"""Images on their way into a dataset: headers, the one shape and range of all, pixels, their mean and deviation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kinds.image import decoding
from pipeline.kinds.image.decoding import ImageRule, image_shape, size_notes
from pipeline.kinds.image.depth import EIGHT, Range, common_range, range_notes
from pipeline.kinds.image.keys import ImageData
from pipeline.kinds.kind import BadSampleError, Content, Fit, Layout
from pipeline.kinds.reading import Facts, Laid

NUM_FACTS = len(decoding.Header._fields)
DTYPE = np.dtype(np.uint8)
MOST_SIZES = 6
"""Named one by one."""


def rule_of(data: ImageData) -> ImageRule:
    """What is known before any image has been read."""
    return ImageRule(data.max_pixels, data.height_and_width, data.resize, data.enlarge, data.bits)


def max_bytes(data: ImageData) -> int:
    """No allowed image needs more: four channels of 16 bits, uncompressed, and a megabyte of notes."""
    return 8 * data.max_pixels + 2**20


def described(facts: Facts, data: ImageData) -> list[str]:
    """Sizes as width x height, colours, bits."""
    sizes, counts = np.unique(facts[:, 1::-1], axis=0, return_counts=True)
    ranked = np.argsort(-counts, kind="stable")[:MOST_SIZES]
    named = [f"{sizes[i][0]} x {sizes[i][1]}: {counts[i]}" for i in ranked]
    more = f", and {len(sizes) - MOST_SIZES} more sizes" if len(sizes) > MOST_SIZES else ""
    num_grey, num_deep = int((facts[:, 2] == 1).sum()), int((facts[:, 3] != EIGHT).sum())
    deep = [f"{num_deep} have more than 8 bits"] if num_deep else []
    return [f"width x height: {', '.join(named)}{more}", f"{num_grey} of {len(facts)} are grey", *deep]


def inspect(content: Content, data: ImageData) -> tuple[int, ...]:
    """The header's fields, without decoding."""
    return decoding.inspect(content, rule_of(data))


def layout(facts: Facts, data: ImageData, name: Callable[[int], str]) -> Laid:
    """One shape (C, H, W) for all, and one range for all values of more than 8 bits."""
    rule = rule_of(data)
    shape = image_shape(facts, rule, data.channels, name)
    depths = facts[:, 3:6]
    values = common_range(depths, data.bits, name)
    notes = [*size_notes(facts, shape, rule), *range_notes(depths, values, data.bits, name)]
    return Laid(Layout(shape, DTYPE, details={"value_range": [values.low, values.high] if values else None}), notes)


def decode(content: Content, data: ImageData, layout: Layout) -> NDArray[np.uint8]:
    """Pixels (C, H, W)."""
    channels, height, width = layout.shape
    values = layout.details["value_range"]
    return decoding.decode(content, rule_of(data), (channels, height, width), Range(*values) if values else None)


def fit(rows: Iterator[NDArray[Any]], layout: Layout) -> tuple[Fit, list[str]]:
    """Mean and population's standard deviation of each channel on the scale 0..1, exact until they are rounded to floats.

    value_range: what became 0 and 255 of images that had more than 8 bits; None where all had 8.
    """
    num_channels = layout.shape[0]
    sums, squares, num = [0] * num_channels, [0] * num_channels, 0
    for values in rows:
        flat = np.moveaxis(values, 1, 0).reshape(num_channels, -1)
        num += flat.shape[1]
        sums = _added(sums, flat.sum(1, dtype=np.uint64))
        squares = _added(squares, np.square(flat, dtype=np.uint16).sum(1, dtype=np.uint64))
    mean, std = mean_and_std(sums, squares, num, scale=255)
    notes = ["a channel has the same value in every training sample"] if 0.0 in std else []
    return {"mean": mean, "std": std, **layout.details}, notes


def _added(sums: list[int], more: NDArray[np.uint64]) -> list[int]:
    return [a + int(b) for a, b in zip(sums, more, strict=True)]


def mean_and_std(sums: list[int], squares: list[int], num: int, scale: int) -> tuple[list[float], list[float]]:
    """Per channel from exact sums over `num` values: the mean and the population's standard deviation, divided by `scale`."""
    means = [Fraction(total, num) for total in sums]
    variances = [Fraction(square, num) - mean * mean for square, mean in zip(squares, means, strict=True)]
    return [float(mean / scale) for mean in means], [math.sqrt(variance) / scale for variance in variances]


def from_cell(array: NDArray[Any], data: ImageData) -> NDArray[Any]:
    """(H, W) or (H, W, channels) from these, (channels, H, W), or one row of H x W values where the size is told.

    As few bytes as the values need, but no 8 bits where the column's type has more: that says how they are scaled.
    """
    return np.ascontiguousarray(_narrowed(_channels_last(array, data.height_and_width)))


def _narrowed(pixels: NDArray[Any]) -> NDArray[Any]:
    if pixels.dtype.kind == "f":
        return pixels.astype(np.float32)
    if pixels.dtype == np.uint8:
        return pixels
    return pixels.astype(np.uint16 if pixels.min() >= 0 and pixels.max() < 2**16 else np.int64)


def _channels_last(pixels: NDArray[Any], size: tuple[int, int] | None) -> NDArray[Any]:
    if pixels.ndim == 1:
        if size is None or len(pixels) != size[0] * size[1]:
            raise BadSampleError(f"array of {len(pixels)} values in one row; set data.size to its height and width")
        return pixels.reshape(size)
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4) and pixels.shape[0] in (1, 3, 4):
        return np.moveaxis(pixels, 0, 2)
    return pixels
