"""Columns whose values may be what samples belong to: a customer, a speaker, a patient.

Samples of one in train and in test resemble each other more than new ones will, so that results are too good. What is not
`data.group` is told, by its name and by how its values repeat; nobody decides for the user what belongs together.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter

from pipeline.kinds.words import quoted, shell_word
from pipeline.prepare.raw import Source
from pipeline.prepare.times import read_time

MOST_ROWS, MOST_CELLS = 50_000, 500_000
"""To be looked at."""
OWNERS = {
    "customer", "client", "caller", "speaker", "patient", "user", "subject", "person", "participant", "respondent", "member",
    "account", "device", "machine", "author", "writer", "student", "employee", "driver", "household", "family", "owner",
    "donor", "animal", "plant", "site", "session", "visitor", "buyer", "seller", "player", "voice", "reviewer",
}  # fmt: skip
_ID_WORDS = {"id", "ids", "no", "nr", "key", "uuid", "guid", "hash", "name", "code"}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_CODE = re.compile(r"[A-Za-z_-]*\d[\w-]*[A-Za-z_-][\w-]*|[A-Za-z_-]+\d+")
"""Digits with letters or dashes: C-1029, p12."""
_FEWEST, _FEWEST_TEXTS = 20, 50
_MOST_EACH = 1000
_TRIED = 50


def belonging_notes(source: Source) -> list[str]:
    """A note for each column of a source that may say what samples belong to."""
    if source.cells is None:
        return []
    rows = list(_looked_at(source.cells()))
    names = list(rows[0]) if rows else []
    counts = {name: Counter(map(str.strip, map(str, map(itemgetter(name), rows)))) for name in names}
    return [_note(name, values, len(rows)) for name, values in counts.items() if _may_own(name, values)]


def _looked_at(rows: Iterable[Mapping[str, object]]) -> Iterator[Mapping[str, object]]:
    for num, row in enumerate(itertools.islice(rows, MOST_ROWS), start=1):
        yield row
        if num * len(row) > MOST_CELLS:
            return


def _may_own(name: str, values: Mapping[str, int]) -> bool:
    """Whether a column's values repeat as what owns samples does, in a column that is called so or looks like ids."""
    num, different = sum(values.values()) - values.get("", 0), len(values) - ("" in values)
    if different < 3:
        return False
    words = [word.lower() for word in _WORD.findall(name)]
    if words and (words[-1] in OWNERS or (words[-1] in _ID_WORDS and OWNERS & {*words})):
        return sum(each for text, each in values.items() if text and each > 1) >= num / 4  # those beyond repeat, too
    if num < 2 * different or different < _FEWEST or num > _MOST_EACH * different:
        return False
    each = {value: count for value, count in values.items() if value}
    if 2 * sum(count > 1 for count in each.values()) < different:
        return False
    named = bool(words) and (words[-1] in ("id", "uuid", "guid") or (name.endswith(("id", "ID")) and len(name) > 2))
    return named or _are_codes(each) or (different >= _FEWEST_TEXTS and _are_names(each))


def _are_codes(values: Mapping[str, int]) -> bool:
    return all(_CODE.fullmatch(value) and read_time(value).kind == "none" for value in itertools.islice(values, _TRIED))


def _are_names(values: Mapping[str, int]) -> bool:
    """Texts that are no numbers, dates or sentences."""
    tried = list(itertools.islice(values, _TRIED))
    return all(read_time(value).kind == "none" and len(value.split()) <= 4 and value[:1].isalpha() for value in tried)


def _note(name: str, values: Mapping[str, int], num: int) -> str:
    different = sum(bool(value) for value in values)
    each = sum(count for value, count in values.items() if value) / different
    times = f"{each:.0f}" if each >= 10 else f"{each:.1f}"
    return (
        f"column {name!r} has {different} values, about {times} times each in {num} rows: if rows belong to them (a "
        "customer, a speaker), rows of one in train and in test make results too good; keep them together: regatta run "
        f"{shell_word(f'data.group={quoted(name)}')}"
    )
