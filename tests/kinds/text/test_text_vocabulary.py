"""What is known of the training texts, and what texts weigh by it."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest

from pipeline.kinds.text import vocabulary
from pipeline.kinds.text.ngrams import WORDS, ngrams
from pipeline.kinds.text.vocabulary import HASHED_BITS, NOTHING, Vocabulary, learned

TEXTS = [b"a fine film", b"a dull film", b"fine fine day", "재미있는 영화".encode(), "재미없는 영화".encode()]


def test_ngrams_of_two_texts_are_known_the_most_frequent_first(monkeypatch: pytest.MonkeyPatch) -> None:
    occurring = Counter(number for text in TEXTS for number in {*ngrams([text]).numbers.tolist()})
    often = sorted(number for number, num in occurring.items() if num >= 2)
    known, num = learned(iter(TEXTS), hashed=False)
    assert (known.numbers.tolist(), num, known.size) == (often, len(often), len(often) + 1)
    monkeypatch.setattr(vocabulary, "MOST", 5)
    few, num = learned(iter(TEXTS), hashed=False)
    ranked = sorted(often, key=lambda number: (-occurring[number], number))
    assert (few.numbers.tolist(), num) == (sorted(ranked[:5]), len(often))


def test_portions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = learned(iter(TEXTS), hashed=False)[0].kept()
    monkeypatch.setattr(vocabulary, "AT_ONCE", 1)
    assert learned(iter(TEXTS), hashed=False)[0].kept() == whole


@pytest.mark.parametrize("hashed", [False, True])
def test_weights_are_those_of_tf_idf(hashed: bool) -> None:
    known, _ = learned(iter(TEXTS), hashed=hashed)
    places, weights, lengths = known.bags(TEXTS)
    for i, text in enumerate(TEXTS):
        first = int(lengths[:i].sum())
        own = slice(first, first + int(lengths[i]))
        counts = Counter(place for place in known.places(ngrams([text]).numbers).tolist() if place != NOTHING)
        assert places[own].tolist() == sorted(counts)
        plain = {}
        for place, num in counts.items():
            numbers = {number for other in TEXTS for number in ngrams([other]).numbers.tolist()}
            texts = sum(place in known.places(ngrams([other]).numbers).tolist() for other in TEXTS)
            assert numbers
            plain[place] = (1 + math.log(num)) * (1 + math.log((1 + len(TEXTS)) / (1 + texts)))
        is_word = {int(known.places(np.array([n], np.uint64))[0]): n >= WORDS for n in ngrams([text]).numbers.tolist()}
        for half in (False, True):
            norm = math.sqrt(sum(value**2 for place, value in plain.items() if is_word[place] == half))
            for place, weight in zip(places[own].tolist(), weights[own].tolist(), strict=True):
                if is_word[place] == half:
                    assert weight == pytest.approx(plain[place] / norm, rel=5e-3)


def test_a_text_weighs_the_same_in_any_batch() -> None:
    known, _ = learned(iter(TEXTS), hashed=False)
    together = known.bags([*TEXTS, b"", b"unheard"])
    ends = np.cumsum([0, *together.lengths.tolist()])
    for i, text in enumerate([*TEXTS, b"", b"unheard"]):
        alone = known.bags([text])
        assert alone.places.tolist() == together.places[ends[i] : ends[i + 1]].tolist()
        assert alone.weights.tobytes() == together.weights[ends[i] : ends[i + 1]].tobytes()
    assert together.places[ends[5] :].tolist() == [NOTHING, NOTHING]
    assert together.weights[ends[5] :].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("hashed", [False, True])
def test_it_is_kept_as_json_without_words(hashed: bool) -> None:
    known, _ = learned(iter(TEXTS), hashed=hashed)
    kept = json.loads(json.dumps(known.kept()))
    again = Vocabulary.of(kept)
    numbers = ngrams(TEXTS).numbers
    assert again.places(numbers).tolist() == known.places(numbers).tolist()
    assert again.weights.tolist() == known.weights.tolist()
    assert (len(again.numbers) == 0, again.size == 1 + 2**HASHED_BITS) == (hashed, hashed)
