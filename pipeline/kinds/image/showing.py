"""Images as people see them: a picture in the report, and the sheet of what an augmentation does."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from pipeline.kinds.heat import encoded, heated
from pipeline.kinds.image.keys import ImagePolicy
from pipeline.kinds.kind import Fit
from pipeline.kinds.occlusion import squares
from pipeline.kinds.showing import Examples, Parts, without

NOUN = "images"
THUMBNAIL = 160
"""Longest side of a picture on the page, in pixels of the picture."""
ENLARGED = 96
"""Pictures of fewer pixels a side are shown enlarged, pixel by pixel."""


def shown(row: NDArray[np.uint8], fit: Fit, words: str) -> Markup:
    """An image (1 or 3, H, W) uint8 as a PNG inside the page; larger ones are made small."""
    picture = _picture(row)
    look = Markup(" class=pixels") if max(picture.size) < ENLARGED else ""
    if max(picture.size) > THUMBNAIL:
        picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return Markup('<img src="data:image/png;base64,{}" alt="{}"{}>').format(encoded(picture), words, look)


def shown_parts(row: NDArray[np.uint8], fit: Fit, words: str, parts: Parts) -> Markup:
    """The image beside itself in grey, where squares are coloured by what they say and the strongest one is boxed."""
    box = parts.strongest(1)
    heat = heated(_picture(row), parts.strengths, squares(*row.shape[1:]), box[0] if box else None)
    names = ["the boxed square"] * len(parts.strengths)
    told = f"{words}; where the answer came from"
    pair = Markup('<div class="pair">{}<img src="data:image/png;base64,{}" alt="{}" class=pixels></div>')
    return pair.format(shown(row, fit, words), encoded(heat), told) + without(names, parts, box)


def _picture(row: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(row[0] if len(row) == 1 else np.ascontiguousarray(row.transpose(1, 2, 0)))


def preview(examples: Examples, policy: ImagePolicy) -> bytes:
    """PNG: the originals beside what the policy draws of them."""
    from pipeline.kinds.image.picture import policy_picture

    return policy_picture(examples, policy)
