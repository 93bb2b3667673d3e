"""n-grams of texts as numbers of 64 bits, many texts at once and without a Python object for any of them.

Of alphabets: words and pairs of them, and 3 to 5 characters inside a word with its ends (as scikit-learn's char_wb); of Hangul
words, pairs, and 1 to 3 characters inside likewise; of scripts without spaces 1 to 3 characters. Upper and lower case are one.
The number of an n-gram is a polynomial in mixed code points, modulo 2**64, so that a window's costs a product a character
(Karp and Rabin 1987), and is mixed at the end, so that any of its bits can be looked up by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.keyed import U64
from pipeline.kinds.text.characters import DENSE, HANGUL, SIGN, WORD, class_of

VERSION = 1
"""Raised where a text has other n-grams."""
_BASE, _ONE, _TWO = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_END = np.uint64(0xD6E8FEB86659FD93)
"""What stands at both ends of a word."""
_OF_WORD, _OF_PAIR, _OF_CHARACTER, _OF_PART = 101, 102, 103, 0
INSIDE = {WORD: (3, 4, 5), HANGUL: (1, 2, 3), DENSE: (1, 2, 3)}
"""Characters of an n-gram inside a word with its signs and its ends, or inside a run of a script without spaces."""


WORDS = np.uint64(1 << 63)
"""The first bit of the number of a word, or of a pair; other n-grams lack it."""


class Found(NamedTuple):
    """Some n-grams (n,) of several texts; those of one kind ordered by text."""

    rows: NDArray[np.int64]
    """Of which text each is."""
    numbers: U64


def ngrams(texts: Sequence[bytes]) -> Found:
    """All n-grams of texts in UTF-8 without zeros."""
    codes, rows = _codes(b"\0".join(texts).decode("utf-8").lower())
    kinds, mixed = class_of(codes), _mixed(codes.astype(np.uint64))
    parts = [*_words(kinds, mixed, rows), *_insides(kinds, mixed, rows)]
    return Found(np.concatenate([part.rows for part in parts]), np.concatenate([part.numbers for part in parts]))


def words(texts: Sequence[bytes]) -> Found:
    """Words and signs in their order, upper and lower case being one; of scripts without spaces each character."""
    codes, rows = _codes(b"\0".join(texts).decode("utf-8").lower())
    kinds = class_of(codes)
    kinds = np.where(kinds == DENSE, SIGN, kinds)
    starts = _starts(kinds)
    sums = _sums(_mixed(codes.astype(np.uint64)), starts, _ends(kinds))
    return Found(rows[starts], _numbered(sums, _OF_WORD))


def characters(texts: Sequence[bytes]) -> Found:
    """All characters as they are, white space too."""
    codes, rows = _codes(b"\0".join(texts).decode("utf-8"))
    inside = codes != 0
    return Found(rows[inside], _numbered(_mixed(codes[inside].astype(np.uint64)), _OF_CHARACTER))


def _codes(text: str) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Code points of texts with a zero between two of them, and of which text each is."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    return codes, np.cumsum(codes == 0)


def _mixed(x: U64) -> U64:
    """The finaliser of SplitMix64."""
    x = (x ^ (x >> np.uint64(30))) * _ONE
    x = (x ^ (x >> np.uint64(27))) * _TWO
    return x ^ (x >> np.uint64(31))


def _numbered(sums: U64, kind: int) -> U64:
    """Those of different kinds differ; the first bit says whether it is of words."""
    found = _mixed(sums + np.array([kind], np.uint64) * _BASE) >> np.uint64(1)
    return found | WORDS if kind in (_OF_WORD, _OF_PAIR) else found


def _starts(kinds: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Where words, signs and runs begin."""
    before = np.concatenate([np.zeros(1, np.uint8), kinds[:-1]])
    return np.flatnonzero((kinds != 0) & ((kinds != before) | (kinds == SIGN)))


def _ends(kinds: NDArray[np.uint8]) -> NDArray[np.int64]:
    after = np.concatenate([kinds[1:], np.zeros(1, np.uint8)])
    return np.flatnonzero((kinds != 0) & ((kinds != after) | (kinds == SIGN))) + 1


def _words(kinds: NDArray[np.uint8], mixed: U64, rows: NDArray[np.int64]) -> Iterator[Found]:
    """Words and signs, and pairs of neighbours; runs of a script without spaces are none, and stand between others."""
    starts, ends = _starts(kinds), _ends(kinds)
    are = kinds[starts] != DENSE
    sums = _sums(mixed, starts, ends)
    of_row = rows[starts]
    yield Found(of_row[are], _numbered(sums[are], _OF_WORD))
    pairs = are[:-1] & are[1:] & (of_row[:-1] == of_row[1:])
    yield Found(of_row[:-1][pairs], _numbered((_mixed(sums[:-1]) * _BASE + sums[1:])[pairs], _OF_PAIR))


def _sums(mixed: U64, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> U64:
    """The polynomial of each word, the first character's power being 0."""
    if not len(starts):
        return np.zeros(0, np.uint64)
    lengths = ends - starts
    powers = np.cumprod(np.full(int(lengths.max()), _BASE, np.uint64))
    place = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    terms = mixed[place + np.repeat(starts, lengths)] * powers[place]
    return np.add.reduceat(terms, np.cumsum(lengths) - lengths)


def _insides(kinds: NDArray[np.uint8], mixed: U64, rows: NDArray[np.int64]) -> Iterator[Found]:
    """Windows of characters inside words, to which signs belong here, and inside runs."""
    kinds = np.where(kinds == SIGN, WORD, kinds)
    starts, ends = _starts(kinds), _ends(kinds)
    for kind, sizes in INSIDE.items():
        own = kinds[starts] == kind
        if own.any():
            yield from _windows(mixed, starts[own], ends[own], rows, sizes, kind)


def _windows(
    mixed: U64, starts: NDArray[np.int64], ends: NDArray[np.int64], rows: NDArray[np.int64], sizes: Sequence[int], kind: int
) -> Iterator[Found]:
    """Windows of these sizes; those of words see their ends."""
    brink = int(kind != DENSE)
    lengths = ends - starts + 2 * brink
    last = np.cumsum(lengths)
    first = last - lengths
    line = np.full(int(last[-1]), _END, np.uint64)
    inside = np.repeat(starts - first - brink, lengths) + np.arange(len(line))
    if brink:
        is_inside = np.ones(len(line), bool)
        is_inside[first] = is_inside[last - 1] = False
        line[is_inside] = mixed[inside[is_inside]]
    else:
        line = mixed[inside]
    room, of_row = np.repeat(last, lengths) - np.arange(len(line)), np.repeat(rows[starts], lengths)
    sums, size = line, 1
    for size in range(1, max(sizes) + 1):
        if size > 1:
            sums = sums[: len(line) - size + 1] * _BASE + line[size - 1 :]
        if size in sizes:
            fits = room[: len(sums)] >= size
            yield Found(of_row[: len(sums)][fits], _numbered(sums[fits], _OF_PART + 8 * kind + size))
        if len(line) == size:
            return
