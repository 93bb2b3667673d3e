"""Words that are left out."""

from __future__ import annotations

import numpy as np

from pipeline.kinds.occlusion import MOST_PARTS
from pipeline.kinds.text.occlusion import LEFT_OUT, hidden, num_parts, words_in

KNOWN, SHARED, PAIRS = {"bits": 0}, {"bits": 16}, {"tokens": {"how": "bytepairs"}}


def row(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def said(text: str, part: int, fit: dict) -> str:
    return hidden(row(text), part, fit, None).tobytes().decode()


def test_a_word_is_unknown_or_away() -> None:
    assert said("a fine film", 1, KNOWN) == f"a {LEFT_OUT} film"
    assert said("a fine film", 1, {"tokens": {"how": "words", "bits": 0}}) == f"a {LEFT_OUT} film"
    assert said("a fine film", 1, SHARED) == said("a fine film", 1, PAIRS) == "a  film"
    assert said("alone", 0, SHARED) == ""
    assert said("好电影", 1, SHARED) == "好影"


def test_long_texts_have_parts_of_several_words() -> None:
    text = " ".join(str(i) for i in range(1000))
    spans = words_in(text)
    assert num_parts(row(text), KNOWN) == len(spans) == MOST_PARTS
    assert spans[0].first == 0
    assert spans[-1].last == len(text)
    assert " ".join(text[first:last] for first, last in spans) == text
