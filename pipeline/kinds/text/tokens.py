"""Texts as sequences of tokens, in their order: words, characters, or pairs of bytes that were merged (byte pairs).

What is known is learned from the training texts alone. Words and characters are kept as numbers of 64 bits, as n-grams are;
byte pairs (Sennrich et al. 2016, on bytes: nothing is unknown) as the tokenizer's own JSON, which holds parts of words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.kinds.text.keys import INSTALL
from pipeline.kinds.text.ngrams import VERSION, Found, characters, words
from pipeline.kinds.text.vocabulary import NOTHING, Vocabulary
from pipeline.kinds.text.vocabulary import learned as learned_vocabulary

MOST = 20_000
"""Words or characters, the most frequent ones: each has its own numbers in a network."""
FOUND: Mapping[str, Callable[[Sequence[bytes]], Found]] = {"words": words, "characters": characters}


class Sequences(NamedTuple):
    """What texts hold, one text after the other."""

    tokens: NDArray[np.int64]
    """(n,); NOTHING where one is not known."""
    lengths: NDArray[np.int64]
    """(texts,) at least 1."""


def learned(texts: Iterator[bytes], how: str, *, length: int, pairs: int, hashed: bool) -> dict[str, Any]:
    """What is kept of training texts, as JSON. length: tokens of a text that are taken. pairs: how many byte pairs."""
    if how == "bytepairs":
        return {"how": how, "length": length, "tokenizer": _trained(texts, pairs)}
    known, _ = learned_vocabulary(texts, hashed=hashed, found=FOUND[how], most=MOST)
    return {"how": how, "length": length, **known.kept()}


def size(kept: Mapping[str, Any]) -> int:
    """How many different tokens there are, NOTHING among them."""
    return len(_tokenizer(kept["tokenizer"]).get_vocab()) if kept["how"] == "bytepairs" else Vocabulary.of(kept).size


def meanings(kept: Mapping[str, Any]) -> list[Any]:
    """Of each token what it stands for."""
    if kept["how"] != "bytepairs":
        return Vocabulary.of(kept).meanings()
    places = _tokenizer(kept["tokenizer"]).get_vocab()
    return sorted(places, key=lambda token: places[token])


def sequences(kept: Mapping[str, Any]) -> Callable[[Sequence[bytes]], Sequences]:
    """From texts in UTF-8 to their tokens, by what was kept; of long ones the beginning."""
    if kept["how"] == "bytepairs":
        encode = _tokenizer(kept["tokenizer"]).encode_batch_fast
        return lambda texts: _cut([one.ids for one in encode([text.decode() for text in texts])], kept["length"])
    known, found = Vocabulary.of(kept), FOUND[kept["how"]]
    assert kept["ngrams"] == VERSION

    def sequence(texts: Sequence[bytes]) -> Sequences:
        rows, numbers = found(texts)
        ends, places = np.cumsum(np.bincount(rows, minlength=len(texts))).tolist(), known.places(numbers)
        return _cut([places[first:last] for first, last in pairwise([0, *ends])], kept["length"])

    return sequence


def num_strange(kept: Mapping[str, Any]) -> Callable[[Sequence[bytes]], int]:
    """Counts texts of which no token is known."""
    sequence = sequences(kept)

    def strange(texts: Sequence[bytes]) -> int:
        found = sequence(texts)
        known = np.add.reduceat(found.tokens != NOTHING, np.cumsum(found.lengths) - found.lengths)
        return int((known == 0).sum())

    return strange


def _cut(each: Sequence[Sequence[int] | NDArray[np.int64]], length: int) -> Sequences:
    """A text without any token has the one that is not known."""
    own = [np.asarray(tokens[:length] if len(tokens) else [NOTHING], np.int64) for tokens in each]
    return Sequences(np.concatenate([np.zeros(0, np.int64), *own]), np.array([len(tokens) for tokens in own], np.int64))


def _trained(texts: Iterator[bytes], pairs: int) -> str:
    """The tokenizer as JSON: the same of the same texts in any order and on any number of threads."""
    tokenizers = _library()
    found = tokenizers.Tokenizer(tokenizers.models.BPE())
    found.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=pairs, special_tokens=["[nothing]"], initial_alphabet=alphabet, show_progress=False
    )
    found.train_from_iterator((text.decode() for text in texts), trainer)
    json: str = found.to_str()
    return json


def _tokenizer(json: str) -> Any:
    return _library().Tokenizer.from_str(json)


def _library() -> Any:
    try:
        import tokenizers
    except ModuleNotFoundError:
        raise ConfigError(INSTALL) from None
    return tokenizers
