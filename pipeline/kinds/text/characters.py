"""What a character is to n-grams: part of a word, a sign by itself, of a script without spaces, or nothing."""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
from numpy.typing import NDArray

BLANK, WORD, HANGUL, DENSE, SIGN = range(5)
"""Between words; of a word, its combining marks included; of a Korean word; of a script that writes no spaces between words
(Han, Kana, Thai, ...), whose n-grams go across; punctuation and symbols, each a word by itself."""
NUM_CODES = 0x40000
"""Beyond there are no letters."""
_DENSE = (
    (0x0E00, 0x0E7F), (0x0E80, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x2FDF), (0x3005, 0x3007),
    (0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F),
    (0x1B000, 0x1B16F), (0x20000, 0x3FFFF),
)  # fmt: skip
"""Thai, Lao, Burmese, Khmer, radicals, Kana and their extensions, Han and its extensions (Unicode's Blocks.txt)."""
_HANGUL = ((0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF), (0xFFA0, 0xFFDC))
_JOINERS = (0x200C, 0x200D)
"""Inside words of Hindi, Persian and others."""


@cache
def classes() -> NDArray[np.uint8]:
    """By code point below NUM_CODES what it is."""
    categories = [unicodedata.category(chr(code)) for code in range(0x20000)]
    found = np.full(NUM_CODES, BLANK, np.uint8)
    found[: len(categories)] = [_of_category(category) for category in categories]
    found[list(_JOINERS)] = WORD
    letters = found == WORD
    for ranges, kind in ((_DENSE, DENSE), (_HANGUL, HANGUL)):
        for first, last in ranges:
            span = slice(first, last + 1)
            found[span][letters[span] | (first >= len(categories))] = kind
    return found


def _of_category(category: str) -> int:
    """Letters, marks and numbers are of words, as is the underscore in `\\w`; see Unicode's general categories."""
    if category[0] in "LMN" or category == "Pc":
        return WORD
    return SIGN if category[0] in "PS" else BLANK


def class_of(codes: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Of each code point (n,)."""
    return classes()[np.minimum(codes, NUM_CODES - 1)] if len(codes) else np.zeros(0, np.uint8)
