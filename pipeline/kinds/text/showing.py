"""Texts as people see them: each in its own direction."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.kinds.kind import Fit
from pipeline.kinds.showing import Examples
from pipeline.kinds.text.keys import TextPolicy
from pipeline.kinds.words import UNSPACED

NOUN = "texts"
MOST = 280
"""Characters that are shown."""
_WORDS = re.compile(rf"\s+|[{UNSPACED}]|[^\s{UNSPACED}]+")


def shown(row: NDArray[np.uint8], fit: Fit, words: str) -> Markup:
    """The beginning of a text. What turns the direction of text inside it ends with it."""
    return _quoted(Markup("{}").format(_beginning(row)), words)


def shown_copy(view: NDArray[np.uint8], original: NDArray[np.uint8], fit: Fit, words: str) -> Markup:
    """An augmented text, whose words that are not where the original has them are marked."""
    own, old = (_WORDS.findall(_beginning(row)) for row in (view, original))
    parts = [
        Markup("<mark>{}</mark>" if how in ("replace", "insert") and said.strip() else "{}").format(said)
        for how, _, _, first, last in SequenceMatcher(None, old, own, autojunk=False).get_opcodes()
        for said in own[first:last]
    ]
    return _quoted(Markup("").join(parts), words)


def preview(examples: Examples, policy: Any | TextPolicy) -> None:
    """There is no picture of texts."""


def _beginning(row: NDArray[np.uint8]) -> str:
    text = row.tobytes().decode()
    return text if len(text) <= MOST else f"{text[:MOST].rstrip()} …"


def _quoted(said: Markup, words: str) -> Markup:
    return Markup('<blockquote class="text" dir="auto" aria-label="{}"><bdi>{}</bdi></blockquote>').format(words, said)
