"""Whether a table has the columns that keys of `data` name, and labels as they say; and what to say where it has not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.errors import DataError
from pipeline.kinds.words import is_number, quoted
from pipeline.prepare.labels import is_switch
from pipeline.prepare.sources.layout import readable_name
from pipeline.prepare.sources.remedies import Remedy, choice
from pipeline.prepare.sources.table import Columns
from pipeline.processes import one_line
from pipeline.schema.base import nearest
from pipeline.wording import some

Rows = Callable[[], Iterable[Mapping[str, object]]]
"""The cells of a table's rows by column."""
_LOOKED_AT = 1000
_SHOWN = 40
"""Columns of a table that are listed."""
_OPTIONAL = ("data.split", "data.group", "data.time")


def check_columns(columns: Columns, present: Sequence[str], place: Path, key: str, rows: Rows) -> None:
    """DataError where a column is missing or not unique, or several labels are no columns of 0 and 1.

    key: of the path that leads to the table. rows: its first ones, looked at for what the labels could be.
    """
    lacking = [(name, of) for name, of in columns.named() if name not in present]
    if lacking:
        raise DataError(_no_column(columns, lacking, present, place, key, rows))
    twice = [name for name in columns.names if list(present).count(name) > 1]
    if twice:
        raise DataError(f"{readable_name(place)}: two columns are named {twice[0]!r}; rename one")
    if columns.several:
        _check_switches(columns, place, list(itertools.islice(rows(), _LOOKED_AT)))


def _no_column(
    columns: Columns, lacking: Sequence[tuple[str, str]], present: Sequence[str], place: Path, key: str, rows: Rows
) -> str:
    """Which key names which column that there is none of, and the commands that may be meant."""
    near = {name: found for name, _ in lacking if (found := nearest(name, present))}
    named = ", and ".join(f"no column {name!r}, which {of} names" for name, of in lacking)
    hint = f" Did you mean {' and '.join(map(repr, near.values()))}?" if near else ""
    said = f"{readable_name(place)}: {named}; it has {some(present, 'column', _SHOWN)}.{hint}"
    keys = list(dict.fromkeys(of for _, of in lacking))
    remedies = _switches_instead(columns, rows) if "data.label" in keys else []
    renamed = _renamed(columns, lacking, near)
    remedies += renamed
    if key in ("data.val_path", "data.test_path"):
        remedies.append(Remedy(f"goes on without {one_line(place.name)}", [f"~{key}"]))
    if set(keys) <= {*_OPTIONAL}:
        remedies.append(Remedy(f"goes on without {' and '.join(keys)}", [f"~{of}" for of in keys]))
    another = "" if renamed else f" Name another: regatta run {' '.join(f'{of}=COLUMN' for of in keys)}"
    either = f"{', or say' if another else ' Say'} {choice(remedies)}" if remedies else ""
    return said + another + either


def _renamed(columns: Columns, lacking: Sequence[tuple[str, str]], near: Mapping[str, str]) -> list[Remedy]:
    """The command with the nearest names, where each column that lacks has one."""
    if len(near) < len(lacking):
        return []
    words = {of: f"{of}={quoted(near[name])}" for name, of in lacking}
    if "data.label" in words and len(columns.labels) > 1:
        words["data.label"] = f"data.label=[{','.join(quoted(near.get(name, name)) for name in columns.labels)}]"
    return [Remedy("the nearest name" if len(near) == 1 else "the nearest names", list(words.values()))]


def _switches_instead(columns: Columns, rows: Rows) -> list[Remedy]:
    """The command that takes the columns as labels that say 0 or 1 in each of the first rows, if there are several."""
    first = list(itertools.islice(rows(), _LOOKED_AT))
    names = [name for name in (first[0] if first else {}) if all(is_switch(row[name]) for row in first)]
    labels = [name for name in names if name not in (columns.content, *columns.beside)]
    if len(labels) < 2 or any(one_line(name) != name for name in labels):
        return []
    said = f"data.label=[{','.join(map(quoted, labels))}]"
    return [Remedy(f"takes the {len(labels)} columns of 0 and 1 as labels", [said])]


def _check_switches(columns: Columns, place: Path, first: Sequence[Mapping[str, object]]) -> None:
    """DataError where most cells of a label's column say neither 0 nor 1: then several labels are not what is meant."""
    others = [name for name in columns.labels if not _mostly_switches(first, name)]
    if not first or not others:
        return
    said = {name: dict.fromkeys(str(row[name]) for row in first if row.get(name) not in (None, "")) for name in others}
    if all(said[name] and all(map(is_number, said[name])) for name in others):
        remedies = [Remedy("predicts their numbers", ["data.target=number"])]
    else:
        remedies = [Remedy(f"predicts {name} alone", [f"data.label={quoted(name)}"]) for name in columns.labels[:3]]
    shown = [f"{name!r} holds {', '.join(map(repr, list(said[name])[:3])) or 'other things'}" for name in others[:3]]
    raise DataError(
        f"{readable_name(place)}: data.label lists {len(columns.labels)} columns, which are labels of 0 and 1 then, but "
        f"{' and '.join(shown)}. Say {choice(remedies)}"
    )


def _mostly_switches(first: Sequence[Mapping[str, object]], name: str) -> bool:
    cells = [row[name] for row in first if name in row and row[name] not in (None, "")]
    return 2 * sum(map(is_switch, cells)) >= len(cells) > 0
