"""Images as people see them: a picture in the report, and the sheet of what an augmentation does."""

from __future__ import annotations

import base64
import io

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from pipeline.kinds.image.keys import ImagePolicy
from pipeline.kinds.kind import Fit
from pipeline.kinds.showing import Examples

NOUN = "images"
THUMBNAIL = 160
"""Longest side of a picture on the page, in pixels of the picture."""
ENLARGED = 96
"""Pictures of fewer pixels a side are shown enlarged, pixel by pixel."""


def shown(row: NDArray[np.uint8], fit: Fit, words: str) -> Markup:
    """An image (1 or 3, H, W) uint8 as a PNG inside the page; larger ones are made small."""
    picture = Image.fromarray(row[0] if len(row) == 1 else np.ascontiguousarray(row.transpose(1, 2, 0)))
    look = Markup(" class=pixels") if max(picture.size) < ENLARGED else ""
    if max(picture.size) > THUMBNAIL:
        picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "png", optimize=True)
    content = base64.b64encode(buffer.getvalue()).decode()
    return Markup('<img src="data:image/png;base64,{}" alt="{}"{}>').format(content, words, look)


def preview(examples: Examples, policy: ImagePolicy) -> bytes:
    """PNG: the originals beside what the policy draws of them."""
    from pipeline.kinds.image.picture import policy_picture

    return policy_picture(examples, policy)
