"""Words of a text, each left out in turn; of scripts without spaces each character."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.kinds.kind import Fit
from pipeline.kinds.occlusion import MOST_PARTS
from pipeline.kinds.words import UNSPACED

HIDDEN = "each word was left out"
DRAWS = 0
PIECES = re.compile(rf"\s+|[{UNSPACED}]|[^\s{UNSPACED}]+")
"""Words, what is between them, and characters of scripts without spaces."""
LEFT_OUT = "\ufffc"
"""The sign for what can't be shown, a word by itself that texts do not have: neighbours do not become a pair."""


class Span(NamedTuple):
    """Characters [first, last) of a text."""

    first: int
    last: int


def text_of(row: NDArray[np.uint8]) -> str:
    """A row as stored, as a text."""
    return row.tobytes().decode()


@lru_cache(maxsize=4)
def words_in(text: str) -> tuple[Span, ...]:
    """The parts: words or, of a long text, several that follow each other."""
    every = [Span(*found.span()) for found in PIECES.finditer(text) if not found.group().isspace()]
    if len(every) <= MOST_PARTS:
        return tuple(every)
    ends = np.rint(np.linspace(0, len(every), MOST_PARTS + 1)).astype(int).tolist()
    return tuple(Span(every[a].first, every[b - 1].last) for a, b in pairwise(ends))


def num_parts(row: NDArray[np.uint8], fit: Fit) -> int:
    """Of a text in UTF-8."""
    return len(words_in(text_of(row)))


def hidden(row: NDArray[np.uint8], part: int, fit: Fit, other: None) -> NDArray[np.uint8]:
    """The text without a word: unknown where a vocabulary knows what it does not know, else taken away."""
    text = text_of(row)
    first, last = words_in(text)[part]
    left = text[:first] + (LEFT_OUT if _tells_unknown(fit) else "") + text[last:]
    return np.frombuffer(left.encode(), np.uint8)


def _tells_unknown(fit: Fit) -> bool:
    """Not so byte pairs, to which nothing is unknown, and places that all n-grams share."""
    kept = fit.get("tokens", fit)
    return kept.get("how") != "bytepairs" and not kept["bits"]
