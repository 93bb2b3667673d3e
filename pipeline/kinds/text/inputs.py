"""Texts as networks take them: the places of their n-grams in the vocabulary, each with its weight."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import DataError
from pipeline.kinds.inputs import Cast, Lengths
from pipeline.kinds.kind import BadSampleError, Fit
from pipeline.kinds.text.cleaning import cleaned
from pipeline.kinds.text.vocabulary import Vocabulary
from pipeline.wording import share

if TYPE_CHECKING:
    import torch

    from pipeline.kinds.ragged import Rows

CAST_ONCE = True
_PER_BYTE = 2
"""Different n-grams for each byte of a text, roughly."""


def input_shape(fit: Fit, shape: Sequence[int]) -> tuple[int, ...]:
    """A place and a weight."""
    return (2,)


def input_lengths(fit: Fit, lengths: Lengths) -> Lengths:
    """About as many n-grams as a text of so many bytes has."""
    _, middle, most = lengths
    size = num_tokens(fit)
    return 1, min(size, _PER_BYTE * middle), min(size, _PER_BYTE * most)


def num_tokens(fit: Fit) -> int:
    """Places of the vocabulary."""
    return Vocabulary.of(fit).size


def meanings(fit: Fit) -> list[Any]:
    """Of each place its n-gram's number; of those that several n-grams share, the place."""
    known = Vocabulary.of(fit)
    shared = range(known.size - 1 - len(known.numbers))
    return [None, *known.numbers.tolist(), *(("shared", known.bits, place) for place in shared)]


def weighted(fit: Fit) -> bool:
    """By tf-idf."""
    return True


def to_input(fit: Fit, shape: Sequence[int], device: torch.device | str) -> Cast:
    """Ragged uint8, UTF-8 as stored, to ragged items (place, weight) float32; of a text without known n-grams the place 0."""
    import torch

    from pipeline.kinds.ragged import Ragged

    known = Vocabulary.of(fit)

    def cast(rows: Rows) -> Rows:
        assert isinstance(rows, Ragged)
        bags = known.bags(texts_of(rows))
        items = np.stack([bags.places.astype(np.float32), bags.weights], axis=1)
        return Ragged(torch.from_numpy(items).to(device), torch.from_numpy(bags.lengths))

    return cast


def texts_of(rows: Any) -> list[bytes]:
    """Each row's text in UTF-8."""
    content, ends = rows.items.cpu().numpy().tobytes(), rows.ends.tolist()
    return [content[first:last] for first, last in pairwise([0, *ends])]


UNSEEN = "nothing that training knows, neither a word nor a part of one"


def unseen(fit: Fit) -> Callable[[Any], int]:
    """Counts texts as stored that hold nothing of the vocabulary."""
    known = Vocabulary.of(fit)
    return lambda texts: known.num_strange([np.asarray(text).tobytes() for text in texts])


def as_stored(samples: Any, fit: Fit) -> list[torch.Tensor]:
    """Texts, a str each, as rows as stored; DataError where one is none, or empty. Warns of those without a known n-gram."""
    import torch

    if isinstance(samples, str | bytes):
        raise DataError(f"one text, {samples[:40]!r}, where several are expected; one text is [text]")
    rows = []
    for i, text in enumerate(samples):
        if not isinstance(text, str):
            raise DataError(f"text {i}: {type(text).__name__}, and a str is expected")
        try:
            rows.append(torch.from_numpy(np.frombuffer(cleaned(text), np.uint8).copy()))
        except BadSampleError as bad:
            raise DataError(f"text {i}: {bad}") from None
    if num := unseen(fit)(rows):
        warnings.warn(f"{share(num, len(rows))} texts have {UNSEEN}: answers to them are guesses", stacklevel=2)
    return rows


def check_inputs(inputs: Rows, shape: tuple[int, ...]) -> None:
    """DataError where inputs are not texts as stored."""
    import torch

    from pipeline.kinds.ragged import Ragged

    if not isinstance(inputs, Ragged) or inputs.items.dtype != torch.uint8 or inputs.items.ndim != 1:
        raise DataError("inputs: expected are texts as stored, uint8 of UTF-8 each; a str goes through `Predictor.rows`")
