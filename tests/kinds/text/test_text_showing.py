"""Texts on a page."""

from __future__ import annotations

import numpy as np

from pipeline.kinds.text.showing import MOST, shown, shown_copy


def row(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def test_a_text_has_its_own_direction_and_ends_what_turns_it() -> None:
    assert shown(row("סרט <b>טוב</b>"), {}, "right: good") == (
        '<blockquote class="text" dir="auto" aria-label="right: good"><bdi>סרט &lt;b&gt;טוב&lt;/b&gt;</bdi></blockquote>'
    )


def test_of_a_long_one_the_beginning() -> None:
    markup = shown(row("ü" * 10_000), {}, "")
    assert f"<bdi>{'ü' * MOST} …</bdi>" in markup


def test_of_a_copy_the_words_are_marked_that_the_original_lacks() -> None:
    original, view = row("a fine film, twice"), row("a <good> movie, twice")
    assert "<bdi>a <mark>&lt;good&gt;</mark> <mark>movie,</mark> twice</bdi>" in shown_copy(view, original, {}, "copy 1")
    assert "<mark>" not in shown_copy(original, original, {}, "")
    assert "<bdi>好<mark>的</mark>电影</bdi>" in shown_copy(row("好的电影"), row("好电影"), {}, "")
