"""A picture of where an answer came from: the sample in grey, and over it what speaks for the answer and what against it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.kinds.occlusion import Square

FOR, AGAINST = (240, 120, 20), (40, 120, 230)
"""Orange and blue, which people tell apart who do not tell red from green."""
SIDE = 240
"""Of a picture on the page; smaller ones grow by whole pixels."""
LINE = 2
"""How wide a box is drawn."""
DEEPEST = 0.75
"""How much of a picture the strongest colour covers."""
Floats = NDArray[np.float64]


def heated(picture: Image.Image, strengths: Floats, squares: Sequence[Square], boxed: int | None) -> Image.Image:
    """A sample's picture with the strengths (P,) of its squares, which cover it, and one of them in a box."""
    grown = enlarged(picture.convert("L"))
    heat = spread(strengths, squares)
    # As strong as the strongest square: where weaker ones overlap with it the mean is less.
    heat *= np.abs(strengths).max() / (np.abs(heat).max() or 1.0)
    shares = np.array(Image.fromarray(heat).resize(grown.size, Image.Resampling.NEAREST))[..., None]
    faint = 60 + 0.6 * np.array(grown, np.float32)[..., None]
    weight = DEEPEST * np.abs(shares)
    mixed = faint * (1 - weight) + np.where(shares > 0, FOR, AGAINST) * weight
    found = Image.fromarray(mixed.astype(np.uint8))
    if boxed is not None:
        _box(found, squares[boxed], heat.shape)
    return found


def spread(strengths: Floats, squares: Sequence[Square]) -> NDArray[np.float32]:
    """(high, wide): at each place the mean over the squares that cover it."""
    size = max(square.bottom for square in squares), max(square.right for square in squares)
    total, times = np.zeros((2, *size), np.float32)
    for strength, (top, bottom, left, right) in zip(strengths, squares, strict=True):
        total[top:bottom, left:right] += strength
        times[top:bottom, left:right] += 1
    return np.asarray(total / times)


def _box(picture: Image.Image, square: Square, shape: Sequence[int]) -> None:
    """Black within white, so that it is seen on any ground."""
    down, across = picture.height / shape[0], picture.width / shape[1]
    place = [square.left * across, square.top * down, square.right * across - 1, square.bottom * down - 1]
    pen = ImageDraw.Draw(picture)
    pen.rectangle(place, outline="white", width=2 * LINE)
    pen.rectangle(place, outline="black", width=LINE)


def enlarged(picture: Image.Image) -> Image.Image:
    """Of about SIDE a side at most."""
    longest = max(picture.size)
    factor = max(1, SIDE // longest) if longest <= SIDE else SIDE / longest
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.LANCZOS)


def encoded(picture: Image.Image) -> str:
    """As a PNG in base64."""
    content = io.BytesIO()
    picture.save(content, "png", optimize=True)
    return base64.b64encode(content.getvalue()).decode()
