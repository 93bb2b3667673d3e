"""n-grams against a slow plain way, in the scripts that there are."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pipeline.kinds.text.characters import DENSE, HANGUL, SIGN, WORD, class_of
from pipeline.kinds.text.ngrams import WORDS, ngrams


def numbers_of(text: str) -> list[int]:
    return sorted(ngrams([text.encode()]).numbers.tolist())


def plain(text: str) -> tuple[list[str], list[str]]:
    """Words and pairs, and windows inside, one after the other."""
    codes = class_of(np.array([*map(ord, text.lower())], np.uint32)).tolist()
    runs = [(m.start(), m.end()) for m in re.finditer("1+|2+|3+|4", "".join(map(str, codes)))]
    words, pairs, windows, before = [], [], [], None
    for first, last in runs:
        word = None if codes[first] == DENSE else text.lower()[first:last]
        words += [word] if word else []
        pairs += [f"{before} {word}"] if word and before else []
        before = word
    for m in re.finditer("[14]+|2+|3+", "".join(map(str, codes))):
        inside, kind = text.lower()[m.start() : m.end()], codes[m.start()]
        line = inside if kind == DENSE else f"\0{inside}\0"
        sizes = (3, 4, 5) if kind in (WORD, SIGN) else (1, 2, 3)
        windows += [(kind == HANGUL, line[i : i + n]) for n in sizes for i in range(len(line) - n + 1)]
    return [*words, *pairs], windows


TEXTS = {
    "English": "Don't win £1000 now, NOW!",
    "German": "Fußgängerübergänge, schöne Grüße",
    "Hindi": "यह फ़िल्म बहुत अच्छी है।",
    "Thai": "หนังเรื่องนี้ดีมาก",
    "Chinese": "这部电影很好看",
    "Japanese": "この映画はとても面白い",
    "Korean": "이 영화 정말 재미있어요",
    "Arabic": "هذا الفيلم جميل جدا",
    "mixed": "iPhone手机 재미 ok",
    "blank": " \n ",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
def test_as_many_different_ones_as_the_plain_way_finds(text: str) -> None:
    words, windows = plain(text)
    found = np.array(numbers_of(text), np.uint64)
    assert (found >= WORDS).sum() == len(words)
    assert len(found) == len(words) + len(windows)
    assert len({*found.tolist()}) == len({*words}) + len({*windows})


def test_texts_in_a_batch_have_what_they_have_alone() -> None:
    texts = [*TEXTS.values(), "ΟΔΟΣ", "Σ", "ΑΣ"]
    rows, numbers = ngrams([text.encode() for text in texts])
    for i, text in enumerate(texts):
        assert sorted(numbers[rows == i].tolist()) == numbers_of(text)


def test_marks_stay_with_their_words() -> None:
    assert class_of(np.array([*map(ord, "फ़िल्म")], np.uint32)).tolist() == [WORD] * len("फ़िल्म")
    assert {*class_of(np.array([*map(ord, "หนังเรื่องนี้")], np.uint32)).tolist()} == {DENSE}
    assert class_of(np.array([*map(ord, "가!あ 한")], np.uint32)).tolist() == [HANGUL, SIGN, DENSE, 0, HANGUL]


def test_equal_words_have_equal_numbers_wherever_they_stand_and_in_upper_case() -> None:
    common = {*numbers_of("good film")} & {*numbers_of("A GOOD one, no FILM")}
    assert len(common) == 2 * (1 + 4 + 3 + 2)  # a word, and its windows of 3, 4 and 5 characters with its ends


def test_no_two_of_many_different_words_have_one_number() -> None:
    words = " ".join(f"w{i}" for i in range(20_000))
    numbers = ngrams([words.encode()]).numbers
    whole = numbers[numbers >= WORDS]
    assert len(np.unique(whole)) == 20_000 + 19_999


def test_there_may_be_nothing_at_all() -> None:
    assert len(ngrams([b"", b" "]).numbers) == 0
