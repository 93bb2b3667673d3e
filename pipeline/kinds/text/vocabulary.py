"""Which n-grams a network knows, learned from the training texts alone, and how much each counts: tf-idf as whole numbers.

A vocabulary is kept as the n-grams' numbers, not as their words. Weights are in 256ths, so that sums of their squares are
exact, and a text has the same ones in any batch and order: the logarithms come from a table, all else is exact arithmetic.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.keyed import U64
from pipeline.kinds.text.ngrams import VERSION, WORDS, Found, ngrams

MOST = 50_000
FEWEST_TEXTS = 2
"""An n-gram of fewer training texts says nothing of others."""
HASHED_BITS = 16
"""Of the number of places that all n-grams share where no vocabulary is kept."""
AT_ONCE = 2**20
"""Bytes of texts that are counted together."""
NOTHING = 0
"""The place of a text without any known n-gram."""
_UNIT = 256
_COUNTS = np.array([0, *(round(_UNIT * (1 + math.log(num))) for num in range(1, 1024))], np.int64)
"""By how often an n-gram occurs in a text, how much it counts there."""


class Bags(NamedTuple):
    """What texts hold, one text after the other."""

    places: NDArray[np.int64]
    """(n,) in the vocabulary, ascending in each text; likewise `weights`, whose squares have the sum 1 in each text for words
    and pairs, and for the other n-grams, as if they were two texts (tried: 0.985 instead of 0.973 on short messages)."""
    weights: NDArray[np.float32]
    lengths: NDArray[np.int64]
    """(texts,) at least 1."""


@dataclass(frozen=True)
class Vocabulary:
    """The known n-grams."""

    numbers: U64
    """(n,) ascending; their places are 1 to n."""
    weights: NDArray[np.int64]
    """(size,) by place, of rare ones more; of NOTHING 1."""
    bits: int
    """Of the number of places that all n-grams share; 0: there are known ones, and others are left out."""

    @property
    def size(self) -> int:
        return len(self.weights)

    @cached_property
    def _shift(self) -> np.uint64:
        return np.uint64(64 - max(1, len(self.numbers).bit_length() + 3))

    @cached_property
    def _first(self) -> NDArray[np.int64]:
        """By the first bits of a number, where such numbers begin."""
        num = 1 << (64 - int(self._shift))
        return np.searchsorted(self.numbers, np.arange(num, dtype=np.uint64) << self._shift)

    @cached_property
    def _of_words(self) -> NDArray[np.bool_]:
        """(size,) by place, whether it is of words."""
        shared = np.arange(1 << self.bits) >= 1 << (self.bits - 1) if self.bits else np.zeros(0, np.bool_)
        return np.concatenate([[False], self.numbers >= WORDS, shared])

    def places(self, numbers: U64) -> NDArray[np.int64]:
        """(n,) of n-grams; NOTHING for those that are left out."""
        found = np.zeros(len(numbers), np.int64)
        if not self.size > 1:
            return found
        if self.bits:
            return (numbers >> np.uint64(64 - self.bits)).astype(np.int64) + 1
        at = self._first[numbers >> self._shift]
        waiting = np.arange(len(numbers))
        while len(waiting):
            there, sought = self.numbers[np.minimum(at, len(self.numbers) - 1)], numbers[waiting]
            found[waiting[there == sought]] = at[there == sought] + 1
            on = (there < sought) & (at < len(self.numbers) - 1)
            at, waiting = at[on] + 1, waiting[on]
        return found

    def meanings(self) -> list[Any]:
        """Of each place its n-gram's number; of those that several n-grams share, the place itself."""
        shared = range(self.size - 1 - len(self.numbers))
        return [None, *self.numbers.tolist(), *(("shared", self.bits, place) for place in shared)]

    def bags(self, texts: Sequence[bytes]) -> Bags:
        """What each of some texts holds."""
        rows, numbers = ngrams(texts)
        places = self.places(numbers)
        known = places != NOTHING
        keys, counts = np.unique(rows[known] * self.size + places[known], return_counts=True)
        rows, places = keys // self.size, keys % self.size
        lengths = np.bincount(rows, minlength=len(texts))
        if not lengths.all():
            none = np.flatnonzero(lengths == 0)
            places, counts = (np.insert(each, np.cumsum(lengths)[none], own) for each, own in ((places, NOTHING), (counts, 1)))
            lengths = np.maximum(lengths, 1)
        whole = _COUNTS[np.minimum(counts, len(_COUNTS) - 1)] * self.weights[places]
        half = 2 * np.repeat(np.arange(len(texts)), lengths) + self._of_words[places]
        sums = np.zeros(2 * len(texts), np.int64)
        np.add.at(sums, half, whole * whole)
        return Bags(places, (whole / np.sqrt(sums[half].astype(np.float64))).astype(np.float32), lengths)

    def num_strange(self, texts: Sequence[bytes]) -> int:
        """How many of some texts hold nothing that is known."""
        return int((self.bags(texts).places == NOTHING).sum())

    def kept(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "ngrams": VERSION,
            "numbers": _coded(self.numbers.astype("<u8")),
            "weights": _coded(self.weights.astype("<u2")),
            "bits": self.bits,
        }

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Vocabulary:
        """As it was kept."""
        numbers, weights = _decoded(kept["numbers"], "<u8"), _decoded(kept["weights"], "<u2")
        return cls(numbers.astype(np.uint64), weights.astype(np.int64), kept["bits"])


def _coded(values: NDArray[Any]) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _decoded(text: str, dtype: str) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), dtype)


def _weight(num_texts: int, occurring: NDArray[np.int64]) -> NDArray[np.int64]:
    """The inverse document frequency, as if one more text held each n-gram (as scikit-learn's TfidfVectorizer)."""
    by_count = {num: round(_UNIT * (1 + math.log((1 + num_texts) / (1 + num)))) for num in np.unique(occurring).tolist()}
    return np.array([by_count[num] for num in occurring.tolist()], np.int64)


def learned(
    texts: Iterator[bytes],
    *,
    hashed: bool,
    found: Callable[[Sequence[bytes]], Found] = ngrams,
    most: int | None = None,
) -> tuple[Vocabulary, int]:
    """The vocabulary of training texts, and how many n-grams (or what else is found) occur in FEWEST_TEXTS or more of them.

    The most frequent ones (as many as `most`, or MOST) are known, others left out: that they share some places made answers
    worse (0.827 instead of 0.845 on film reviews). hashed: no vocabulary is kept, all n-grams share 2**HASHED_BITS places.
    """
    num = 0
    everything, counts = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for portion in portions(texts):
        num += len(portion)
        rows, numbers = found(portion)
        own, of_own = _texts_with(rows, numbers >> np.uint64(64 - HASHED_BITS) if hashed else numbers)
        everything, counts = _merged(everything, counts, own, of_own)
    if hashed:
        weights = np.zeros(1 << HASHED_BITS, np.int64)
        weights[everything.astype(np.int64)] = counts
        return Vocabulary(np.zeros(0, np.uint64), np.concatenate([[1], _weight(num, weights)]), HASHED_BITS), len(everything)
    often = counts >= FEWEST_TEXTS
    everything, counts = everything[often], counts[often]
    chosen = np.sort(np.lexsort((everything, -counts))[: most or MOST])
    weights = np.concatenate([[1], _weight(num, counts[chosen])])
    return Vocabulary(everything[chosen], weights, 0), len(everything)


def portions(texts: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Texts, so many together that their bytes are AT_ONCE or little more."""
    portion, size = list[bytes](), 0
    for text in texts:
        portion.append(text)
        size += len(text)
        if size >= AT_ONCE:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _texts_with(rows: NDArray[np.int64], numbers: U64) -> tuple[U64, NDArray[np.int64]]:
    """Different numbers, ascending, and in how many texts each occurs."""
    order = np.lexsort((rows, numbers))
    rows, numbers = rows[order], numbers[order]
    first = np.ones(len(numbers), bool)
    first[1:] = (numbers[1:] != numbers[:-1]) | (rows[1:] != rows[:-1])
    found, counts = np.unique(numbers[first], return_counts=True)
    return found, counts


def _merged(one: U64, of_one: NDArray[np.int64], other: U64, of_other: NDArray[np.int64]) -> tuple[U64, NDArray[np.int64]]:
    joined, place = np.unique(np.concatenate([one, other]), return_inverse=True)
    return joined, np.bincount(place, np.concatenate([of_one, of_other]), len(joined)).astype(np.int64)
