"""Synonyms: from a file of words and what may stand for each, those of the training texts' words."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import DataError

Synonyms = Mapping[str, list[str]]
"""By word in lower case."""
MOST_WORDS, MOST_EACH = 20_000, 8
"""Words with synonyms, the most frequent ones of the training texts; and of each the first ones."""
FEW = 0.05
"""A file that knows so few of the words is of another language."""
OTHER_LANGUAGE = ", which is of another language: hardly a word is taken for another; name a file of the texts' own"
WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_GRAMMAR = """
    a about above after again against all am an and any are as at be because been before being below between both but by can
    could did do does doing don't down during each few for from further had has have having he her here hers him his how i if in
    into is isn't it it's its just me more most my no nor not now of off on once only or other our ours out over own same she
    should so some such than that the their theirs them then there these they this those through to too under until up very was
    wasn't we were what when where which while who whom why will with won't would you your yours
"""
STOP_WORDS = frozenset(_GRAMMAR.split())
"""English words that carry the grammar of a sentence: never replaced (after those of EDA, Wei and Zou 2019)."""
_FORM = 'an object a line with a word and its synonyms: {"word": "film", "synonyms": ["movie", "picture"]}'


def words_of(text: str) -> list[str]:
    """Those that may have synonyms, in lower case."""
    return [word for word in WORD.findall(text.lower()) if word not in STOP_WORDS]


def of_words(path: Path, words: Counter[str]) -> tuple[dict[str, list[str]], str]:
    """The synonyms of the most frequent words, and a note of the share that has some; of several meanings the first one's."""
    found: dict[str, list[str]] = {}
    for word, others in _entries(path):
        if word in words and word not in found and others:
            found[word] = others[:MOST_EACH]
    kept = sorted(sorted(found), key=lambda word: -words[word])[:MOST_WORDS]
    share = sum(words[word] for word in found) / max(1, words.total())
    told = f"{100 * share:.0f} % of the words of the training texts, stop words aside, have synonyms in {path.name}"
    return {word: found[word] for word in sorted(kept)}, told + (OTHER_LANGUAGE if share < FEW else "")


def _entries(path: Path) -> Iterator[tuple[str, list[str]]]:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rt", encoding="utf-8") if packed else path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _entry(line, path, number)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"data.synonyms = {path}: can't be read to its end ({error}); get it again") from None


def _entry(line: str, path: Path, number: int) -> tuple[str, list[str]]:
    try:
        found: Any = json.loads(line)
        word, others = found["word"], found["synonyms"]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"data.synonyms = {path}, line {number}: expected is {_FORM}") from None
    if not isinstance(word, str) or not isinstance(others, list) or not all(isinstance(other, str) for other in others):
        raise DataError(f"data.synonyms = {path}, line {number}: expected is {_FORM}")
    return word.lower(), others


def replaced(word: str, drawn: float, known: Synonyms) -> str | None:
    """One of its synonyms, in its own signs and capitals; None where there is none."""
    match = WORD.search(word)
    others = known.get(match[0].lower()) if match else None
    if not match or not others:
        return None
    other = others[int(drawn * len(others))]
    other = other.upper() if match[0].isupper() and len(match[0]) > 1 else other
    other = other[:1].upper() + other[1:] if match[0][0].isupper() else other
    return word[: match.start()] + other + word[match.end() :]
