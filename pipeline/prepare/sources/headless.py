"""Tables whose first line is a row like all others, and names no columns: how that is seen, and what to say then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.kinds.words import is_number, num_words, quoted, shell_word
from pipeline.processes import one_line
from pipeline.wording import first_of

LOOKED_AT = 200
"""Rows after the first line."""
TEXT_WORDS = 5
"""A cell of so many words is a text, not a category."""
_QUOTE = "'"
_SHOWN, _LONGEST = 6, 40


class Headless(NamedTuple):
    """What speaks for a row in the place of names."""

    line: list[str]
    """The first one."""
    surely: bool
    """Each of its cells is a number, a text, or a value of its own column; else only some are."""
    label: int
    """The column that holds the label, as far as can be told."""
    text: int | None
    """The one of longest texts."""

    def command(self, label: str, text: str | None, beside: str = "") -> str:
        """That names the columns. text: the name of the one with texts, where such are learned from."""
        names = [f"c{i + 1}" for i in range(len(self.line))]
        if text and self.text is not None:
            names[self.text] = quoted(text)
        names[self.label] = quoted(label)
        word = f"data.header=[{','.join(names)}]"
        return f"regatta run {beside}{shell_word(word) if _QUOTE in word else _QUOTE + word + _QUOTE}"

    @property
    def shown(self) -> str:
        short = [cell if len(cell) <= _LONGEST else f"{cell[: _LONGEST - 3]}..." for cell in map(one_line, self.line)]
        return first_of(short, _SHOWN)


def headless(line: list[str], rows: Sequence[Sequence[str]]) -> Headless | None:
    """Of the first line and rows after it; None where it may name columns."""
    own = [row for row in rows if len(row) == len(line) and [*row] != line]  # names may be written again in between
    columns = [[row[i] for row in own] for i in range(len(line))]
    values = [bool(name) and cells.count(name) > 1 for name, cells in zip(line, columns, strict=True)]
    numbers = [is_number(name) and all(map(is_number, filter(None, cells))) for name, cells in zip(line, columns, strict=True)]
    texts = [_are_texts([name]) and _are_texts(cells) for name, cells in zip(line, columns, strict=True)]
    if _count(line) or not any([*values, *numbers]):
        return None
    told = [i for i, is_value in enumerate(values) if is_value and not texts[i]]
    fewest = min(told, key=lambda i: len({*columns[i]}), default=len(line) - 1)
    longest = max(range(len(line)), key=lambda i: _mean_words(columns[i])) if any(texts) else None
    surely = all(map(any, zip(values, texts, numbers, strict=True)))
    return Headless(line, surely, len(line) - 1 if len(line) - 1 in told else fewest, longest)


def _count(line: Sequence[str]) -> bool:
    """Whether they are 0, 1, 2, ... or 1, 2, 3, ..., as programs name columns that have no names."""
    return any(list(line) == [str(first + i) for i in range(len(line))] for first in (0, 1))


def _are_texts(cells: Sequence[str]) -> bool:
    return _mean_words(cells) >= TEXT_WORDS


def _mean_words(cells: Sequence[str]) -> float:
    return sum(map(num_words, cells)) / len(cells) if cells else 0.0


def refusal(found: Headless, command: str) -> str:
    """What to say of it."""
    num = len(found.line)
    return (
        f"its first line looks like a row ({found.shown}). Where no line names the {num} columns, name them, such as: {command}"
    )
