"""Files of pictures that benchmarks of answers send: made here, the same every time."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def digit() -> tuple[str, bytes]:
    """The first of the embedded digits."""
    from sklearn.datasets import load_digits

    return "digit.png", encoded(np.round(load_digits().images[0] * 255 / 16).astype(np.uint8), "PNG")


def photo() -> tuple[str, bytes]:
    """About as many bytes as a photo of so many pixels has."""
    return "photo.jpg", encoded(noise(0), "JPEG")


def noise(seed: int) -> NDArray[np.uint8]:
    """Smooth, (224, 224, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (28, 28, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((224, 224), Image.Resampling.BICUBIC))


def encoded(pixels: NDArray[np.uint8], form: str) -> bytes:
    """A file of an image."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, form)
    return content.getvalue()
