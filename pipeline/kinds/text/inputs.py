"""Texts as networks take them: places of their n-grams in the vocabulary, each with its weight, or tokens in their order."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import DataError
from pipeline.kinds.inputs import Cast, Lengths
from pipeline.kinds.kind import BadSampleError, Fit
from pipeline.kinds.text import tokens
from pipeline.kinds.text.cleaning import cleaned
from pipeline.kinds.text.vocabulary import Vocabulary
from pipeline.wording import share

if TYPE_CHECKING:
    import torch

    from pipeline.kinds.ragged import Rows

CAST_ONCE = True
_PER_BYTE = 2
"""Different n-grams for each byte of a text, roughly."""
_BYTES_PER_TOKEN = {"words": 5, "characters": 1, "bytepairs": 4}
"""Roughly, of English."""


def input_shape(fit: Fit, shape: Sequence[int]) -> tuple[int, ...]:
    """A place and a weight; of sequences a token."""
    return () if "tokens" in fit else (2,)


def input_lengths(fit: Fit, lengths: Lengths) -> Lengths:
    """About as many n-grams, or tokens, as a text of so many bytes has."""
    _, middle, most = lengths
    if "tokens" in fit:
        longest, per_token = fit["tokens"]["length"], _BYTES_PER_TOKEN[fit["tokens"]["how"]]
        return 1, min(longest, -(-middle // per_token)), min(longest, -(-most // per_token))
    size = num_tokens(fit)
    return 1, min(size, _PER_BYTE * middle), min(size, _PER_BYTE * most)


def num_tokens(fit: Fit) -> int:
    """Places of the vocabulary."""
    return tokens.size(fit["tokens"]) if "tokens" in fit else Vocabulary.of(fit).size


def meanings(fit: Fit) -> list[Any]:
    """What has each place: an n-gram or a token."""
    return tokens.meanings(fit["tokens"]) if "tokens" in fit else Vocabulary.of(fit).meanings()


def weighted(fit: Fit) -> bool:
    """n-grams by tf-idf."""
    return "tokens" not in fit


def to_input(fit: Fit, shape: Sequence[int], device: torch.device | str) -> Cast:
    """Ragged uint8, UTF-8 as stored, to ragged items (place, weight) float32; of a text without known n-grams the place 0.

    Of sequences to ragged tokens int64.
    """
    import torch

    from pipeline.kinds.ragged import Ragged

    def weighed(known: Vocabulary, texts: Sequence[bytes]) -> Ragged:
        bags = known.bags(texts)
        items = np.stack([bags.places.astype(np.float32), bags.weights], axis=1)
        return Ragged(torch.from_numpy(items).to(device), torch.from_numpy(bags.lengths))

    def in_order(sequence: Callable[[Sequence[bytes]], tokens.Sequences], texts: Sequence[bytes]) -> Ragged:
        found = sequence(texts)
        return Ragged(torch.from_numpy(found.tokens).to(device), torch.from_numpy(found.lengths))

    made = partial(in_order, tokens.sequences(fit["tokens"])) if "tokens" in fit else partial(weighed, Vocabulary.of(fit))

    def cast(rows: Rows) -> Rows:
        assert isinstance(rows, Ragged)
        return made(texts_of(rows))

    return cast


def texts_of(rows: Any) -> list[bytes]:
    """Each row's text in UTF-8."""
    content, ends = rows.items.cpu().numpy().tobytes(), rows.ends.tolist()
    return [content[first:last] for first, last in pairwise([0, *ends])]


UNSEEN = "nothing that training knows, neither a word nor a part of one"


def unseen(fit: Fit) -> Callable[[Any], int]:
    """Counts texts as stored that hold nothing of the vocabulary, or no token that is known."""
    strange = tokens.num_strange(fit["tokens"]) if "tokens" in fit else Vocabulary.of(fit).num_strange
    return lambda texts: strange([np.asarray(text).tobytes() for text in texts])


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
