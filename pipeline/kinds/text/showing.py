"""Texts as people see them: each in its own direction."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from pipeline.kinds.kind import Fit
from pipeline.kinds.showing import FAINT, Examples, Parts, side, without
from pipeline.kinds.text.keys import TextPolicy
from pipeline.kinds.text.occlusion import PIECES, Span, text_of, words_in

NOUN = "texts"
MOST = 280
"""Characters that are shown."""
MOST_NAMED, MOST_SAID = 4, 40
"""Words that are listed with what the answer is without them, and characters of each."""


def shown(row: NDArray[np.uint8], fit: Fit, words: str) -> Markup:
    """The beginning of a text. What turns the direction of text inside it ends with it."""
    return _quoted(Markup("{}").format(_beginning(row)), words)


def shown_copy(view: NDArray[np.uint8], original: NDArray[np.uint8], fit: Fit, words: str) -> Markup:
    """An augmented text, whose words that are not where the original has them are marked."""
    own, old = (PIECES.findall(_beginning(row)) for row in (view, original))
    parts = [
        Markup("<mark>{}</mark>" if how in ("replace", "insert") and said.strip() else "{}").format(said)
        for how, _, _, first, last in SequenceMatcher(None, old, own, autojunk=False).get_opcodes()
        for said in own[first:last]
    ]
    return _quoted(Markup("").join(parts), words)


def shown_parts(row: NDArray[np.uint8], fit: Fit, words: str, parts: Parts) -> Markup:
    """A text with shade and line under words that the answer came from: of a long one what is around the strongest."""
    text = text_of(row)
    spans = words_in(text)
    chosen = parts.strongest(MOST_NAMED)
    first, last = _around(text, spans, chosen[0] if chosen else 0)
    said, at = [Markup("… " if first else "")], first
    for span, strength in zip(spans, parts.strengths.tolist(), strict=True):
        if first <= span.first and span.last <= last:
            said += [escape(text[at : span.first]), _weighed(text[span.first : span.last], strength)]
            at = span.last
    said += [escape(text[at:last]), Markup(" …" if last < len(text) else "")]
    names = [f"“{_short(text[span.first : span.last])}”" for span in spans]
    return _quoted(Markup("").join(said), words) + without(names, parts, chosen)


def _around(text: str, spans: Sequence[Span], part: int) -> tuple[int, int]:
    """Where the shown stretch of a text begins and ends: at words, the strongest one in its middle."""
    middle = sum(spans[part]) // 2
    first = max(0, min(middle - MOST // 2, len(text) - MOST))
    inside = [span for span in spans if span.first >= first and span.last <= first + MOST] or [spans[part]]
    return (inside[0].first if first else 0), (inside[-1].last if first + MOST < len(text) else len(text))


def _weighed(word: str, strength: float) -> Markup:
    if abs(strength) < FAINT:
        return escape(word)
    return Markup('<span class="weighed {}" style="--share:{:.2f}">{}</span>').format(side(strength), abs(strength), word)


def _short(said: str) -> str:
    return said if len(said) <= MOST_SAID else f"{said[:MOST_SAID]}…"


def preview(examples: Examples, policy: Any | TextPolicy) -> None:
    """There is no picture of texts."""


def _beginning(row: NDArray[np.uint8]) -> str:
    text = text_of(row)
    return text if len(text) <= MOST else f"{text[:MOST].rstrip()} …"


def _quoted(said: Markup, words: str) -> Markup:
    return Markup('<blockquote class="text" dir="auto" aria-label="{}"><bdi>{}</bdi></blockquote>').format(words, said)
