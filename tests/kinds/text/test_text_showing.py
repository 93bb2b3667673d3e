"""Texts on a page."""

from __future__ import annotations

import numpy as np

from pipeline.kinds.text.showing import MOST, shown


def row(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def test_a_text_has_its_own_direction_and_ends_what_turns_it() -> None:
    assert shown(row("סרט <b>טוב</b>"), {}, "right: good") == (
        '<blockquote class="text" dir="auto" aria-label="right: good"><bdi>סרט &lt;b&gt;טוב&lt;/b&gt;</bdi></blockquote>'
    )


def test_of_a_long_one_the_beginning() -> None:
    markup = shown(row("ü" * 10_000), {}, "")
    assert f"<bdi>{'ü' * MOST} …</bdi>" in markup
