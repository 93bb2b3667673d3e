"""Texts that say the same but for numbers, upper and lower case, signs and white space."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.keyed import U64
from pipeline.kinds.kind import Layout
from pipeline.kinds.leaks import Feature

EQUAL_BY_CHANCE = False
LIKENESS_BITS = 0
SHORT = 24
"""Texts of fewer bytes, once they are plain, are equal by chance where many are."""
_DIGITS, _REST = re.compile(r"\d+"), re.compile(r"[^\w\u0300-\u036f\u0900-\u0dff\u0e00-\u0eff]+")


def fingerprints(rows: Sequence[NDArray[np.uint8]], layout: Layout) -> U64:
    """(n,) of what texts say."""
    return np.array([keyed.content_id(plain(row)) for row in rows], np.uint64)


def plain(row: NDArray[np.uint8]) -> bytes:
    """Numbers as one, words in lower case, single blanks."""
    text = _REST.sub(" ", _DIGITS.sub("0", row.tobytes().decode().casefold()))
    return text.strip().encode()


def alike(one: Sequence[NDArray[np.uint8]], other: Sequence[NDArray[np.uint8]], common: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """All but short ones of which there are many; and what consists of signs alone says nothing."""
    sizes = np.array([len(plain(row)) for row in one], np.int64)
    return (sizes >= SHORT) | ((sizes > 0) & ~common)


def features(rows: Callable[[], Any], layout: Layout, data: Any) -> Iterator[Feature]:
    """None: no n-gram means the answer by itself for certain."""
    yield from ()


def leaving_out(columns: Sequence[str], data: Any) -> str:
    """There are no columns."""
    raise AssertionError("texts have no features")
