"""Texts on a page."""

from __future__ import annotations

import re

import numpy as np

from pipeline.kinds.showing import Parts
from pipeline.kinds.text.showing import MOST, shown, shown_copy, shown_parts


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


def parts(strengths: list[float]) -> Parts:
    return Parts(np.array(strengths), [f"{i}%" for i in range(len(strengths))])


def test_words_that_the_answer_came_from_are_told_by_line_and_list_not_by_colour_alone() -> None:
    markup = shown_parts(row("a <fine> film"), {}, "right", parts([0.1, 1.0, -0.5]))
    assert '<bdi>a <span class="weighed for" style="--share:1.00">&lt;fine&gt;</span>' in markup
    assert ' <span class="weighed against" style="--share:0.50">film</span></bdi>' in markup
    listed = re.findall(r'<li class="(\w+)"><span class="part"><bdi>(.*?)</bdi></span> <span class="left">(.*?)<', markup)
    assert listed == [("for", "“&lt;fine&gt;”", "1%"), ("against", "“film”", "2%")]
    assert "<li" not in shown_parts(row("a film"), {}, "", parts([0.0, 0.1]))


def test_every_script_keeps_its_words_and_its_direction() -> None:
    for text, words in (("סרט טוב מאוד", 3), ("재미있는 영화였다", 2), ("好电影", 3)):
        markup = shown_parts(row(text), {}, "", parts([1.0] * words))
        assert markup.count("weighed for") == words
        assert re.sub(r"<[^>]+>", "", markup.split("<ul")[0]) == text
        assert 'dir="auto"' in markup


def test_of_a_long_one_what_is_around_the_strongest_word() -> None:
    text = " ".join(f"word{i:03}" for i in range(200))
    strengths = [0.0] * 200
    strengths[150] = 1.0
    said = re.sub(r"<[^>]+>", "", shown_parts(row(text), {}, "", parts(strengths)).split("<ul")[0])
    assert said.startswith("… word")
    assert said.endswith(" …")
    assert abs(said.index("word150") - len(said) / 2) < 10
    assert len(said) <= MOST + 4
