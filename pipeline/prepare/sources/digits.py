"""scikit-learn's handwritten digits, which need no download: 1797 grey images of 8 x 8."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.prepare.raw import Raw, Source, portioned


def open_digits() -> Source:
    """Values 0..16 become 0..255 (UCI Optical Recognition of Handwritten Digits, as in sklearn.datasets.load_digits)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    labels = [(str(label),) for label in digits.target.tolist()]

    def read() -> Iterator[Raw]:
        for row, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield Raw("digits", row, label, image, image.nbytes)

    return Source("single", portioned(read), len(images), None)
