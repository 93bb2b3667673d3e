"""Texts as sequences: what a token is, which are known, and what is kept of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from text_samples import policy, ragged, reviews, text_config, write_jsonl

from pipeline.data.dataset import Dataset
from pipeline.errors import ConfigError
from pipeline.kinds.inputs import taken
from pipeline.kinds.ragged import Ragged
from pipeline.kinds.text import tokens
from pipeline.kinds.text.inputs import to_input, unseen
from pipeline.kinds.text.views import batch_views
from pipeline.kinds.text.vocabulary import NOTHING, learned

TEXTS = ["A fine film, twice", "a FINE film 好的 day", "สวัสดี day a twice ,好"]


def sequences(
    texts: Sequence[str], how: str, known: Sequence[str] = TEXTS, length: int = 99, **options: bool
) -> list[list[int]]:
    kept = tokens.learned(
        iter([text.encode() for text in known] * 2), how, length=length, pairs=300, **{"hashed": False} | options
    )
    assert json.loads(json.dumps(kept)) == kept
    found = tokens.sequences(kept)([text.encode() for text in texts])
    assert found.tokens.max() < tokens.size(kept)
    return [part.tolist() for part in np.split(found.tokens, np.cumsum(found.lengths)[:-1])]


def test_words_in_their_order_signs_alone_and_each_character_where_there_are_no_blanks() -> None:
    one, other, thai = sequences(TEXTS, "words")
    a, fine, film, comma, twice = one
    assert other[:3] == [a, fine, film]
    assert len(other) == 6  # two of Han
    assert thai[-4:-1] == [a, twice, comma]
    assert thai[-1] == other[3]
    assert len(thai) == len("สวัสดี") + 5
    assert NOTHING not in {*one, *other, *thai}


def test_characters_as_they_are() -> None:
    capital, small, blank = sequences(["A", "a", " "], "characters")
    assert len({capital[0], small[0], blank[0], NOTHING}) == 4
    assert [len(each) for each in sequences(TEXTS, "characters")] == [len(text) for text in TEXTS]


def test_byte_pairs_know_everything_and_merge_what_is_frequent() -> None:
    [fine, strange] = sequences([" fine", "Ω≈ç"], "bytepairs", ["a fine film"] * 9)
    assert len(fine) == 1
    assert len(strange) == len("Ω≈ç".encode())
    assert NOTHING not in {*fine, *strange}


def test_byte_pairs_are_the_same_in_any_order_of_texts() -> None:
    texts = [text.encode() for text, _ in reviews(100)]
    kept = [tokens.learned(iter(each), "bytepairs", length=9, pairs=300, hashed=False) for each in (texts, texts[::-1])]
    assert kept[0] == kept[1]


def test_what_training_never_saw_is_nothing_and_so_is_a_text_without_tokens() -> None:
    assert sequences(["fine zzz", "\u200b"], "words")[0][1] == NOTHING
    assert sequences(["fine zzz", "\u200b"], "words")[1] == [NOTHING]
    assert NOTHING not in sequences(["zzz"], "words", hashed=True)[0]
    kept = tokens.learned(iter([text.encode() for text in TEXTS] * 2), "words", length=9, pairs=300, hashed=False)
    assert unseen({"tokens": kept})([np.frombuffer(text.encode(), np.uint8) for text in ("zzz qqq", "zzz fine", "xyz")]) == 2


def test_of_long_ones_the_beginning() -> None:
    whole, cut = (sequences(TEXTS, "words", length=length) for length in (99, 3))
    assert cut == [each[:3] for each in whole]


@pytest.mark.parametrize("how", ["words", "characters", "bytepairs"])
def test_a_dataset_keeps_them_and_says_how_many_are_known_and_cut(
    how: str, tmp_path: Path, build_texts: Callable[..., Dataset]
) -> None:
    path = str(write_jsonl(tmp_path / "t.jsonl", reviews(80)))
    data = build_texts(path=path, tokens=how, length=4, pairs=280)
    fit = data.manifest.fit
    found = taken("text", fit, (), data.manifest.lengths)
    assert (found.shape, found.weighted, found.num_tokens) == ((), False, tokens.size(fit["tokens"]))
    assert found.lengths is not None
    assert found.lengths[-1] == 4
    rows = to_input(fit, (), "cpu")(ragged(["a fine film on day 3", "fine"]))
    assert isinstance(rows, Ragged)
    assert rows.items.dtype.is_floating_point is False
    assert rows.lengths.tolist()[0] == 4
    words = {"words": "words", "characters": "characters", "bytepairs": "byte pairs"}[how]
    assert any(f"{tokens.size(fit['tokens']) - 1} {words} are known; " in note for note in data.manifest.notes)
    assert any(
        "training texts have more than 4 of them, and only the beginning is taken" in note for note in data.manifest.notes
    )


def test_a_bag_of_ngrams_is_what_it_was(tmp_path: Path, build_texts: Callable[..., Dataset]) -> None:
    assert "tokens" not in build_texts(path=str(write_jsonl(tmp_path / "t.jsonl", reviews(60)))).manifest.fit


def test_byte_pairs_are_not_hashed_and_need_tokenizers() -> None:
    with pytest.raises(ConfigError, match=r"vocabulary = hashed: byte pairs are parts of words, which a model keeps"):
        text_config(path="x", tokens="bytepairs", vocabulary="hashed")
    assert text_config(path="x", tokens="bytepairs").needs == {
        "tokenizers": "data.tokens = bytepairs needs tokenizers: say `pip install tokenizers`"
    }
    assert text_config(path="x", tokens="words").needs == {}


def test_of_no_text_there_is_nothing() -> None:
    """As a worker has where a last batch has fewer samples than shards."""
    none = Ragged(torch.zeros(0, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64))
    known = [text.encode() for text in TEXTS] * 2
    fits: list[dict[str, Any]] = [learned(iter(known), hashed=False)[0].kept()]
    for how in ("words", "characters", "bytepairs"):
        fits.append({**fits[0], "tokens": tokens.learned(iter(known), how, length=9, pairs=300, hashed=False)})
    for fit in fits:
        found = to_input(fit, (), "cpu")(none)
        assert (len(found), len(found.items)) == (0, 0)
    drawn = batch_views(none, np.zeros(0, np.uint64), np.zeros(0, np.int64), policy(delete=0.2), fits[0])
    assert (len(drawn), len(drawn.items)) == (0, 0)


@pytest.mark.parametrize("how", ["words", "characters", "bytepairs"])
def test_what_a_token_stands_for_is_the_same_wherever_it_is_known(how: str) -> None:
    one, other = (
        tokens.learned(iter([text.encode() for text in texts] * 2), how, length=99, pairs=300, hashed=False)
        for texts in (TEXTS, [*TEXTS, "a zebra before all others: 1 2 3"])
    )
    known, more = tokens.meanings(one), tokens.meanings(other)
    assert [len(known), len(more)] == [tokens.size(one), tokens.size(other)]
    assert len(set(more)) == len(more)
    text = [TEXTS[0].encode()]
    here, there = (tokens.sequences(kept)(text).tokens for kept in (one, other))
    if how != "bytepairs":  # whose pairs depend on all texts
        assert [known[place] for place in here] == [more[place] for place in there]
    assert set(known) & set(more) - {None}
