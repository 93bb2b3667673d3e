"""Texts as people see them: each in its own direction."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.kinds.kind import Fit
from pipeline.kinds.showing import Examples
from pipeline.kinds.text.keys import TextPolicy

NOUN = "texts"
MOST = 280
"""Characters that are shown."""


def shown(row: NDArray[np.uint8], fit: Fit, words: str) -> Markup:
    """The beginning of a text. What turns the direction of text inside it ends with it."""
    text = row.tobytes().decode()
    said = text if len(text) <= MOST else f"{text[:MOST].rstrip()} …"
    return Markup('<blockquote class="text" dir="auto" aria-label="{}"><bdi>{}</bdi></blockquote>').format(words, said)


def preview(examples: Examples, policy: Any | TextPolicy) -> None:
    """There is no picture of texts."""
