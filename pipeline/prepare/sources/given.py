"""Which of several tables are read, and as which split: what their names say, or a refusal with commands."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from pipeline.data.dataset import SPLITS
from pipeline.errors import DataError
from pipeline.prepare.sources.layout import split_in_name
from pipeline.prepare.sources.remedies import Remedy, choice, given_splits, no_train
from pipeline.processes import one_line
from pipeline.wording import some

_MAX_TABLES = 4
_APART = "move the files of each split into a folder of its own, and name these folders with data.train_path and data.test_path"


def splits_of_tables(names: Sequence[str], place: Path, key: str, joined: bool) -> dict[str, str | None]:
    """The split that each table's name says: for all tables, or for none.

    names: paths from `place`, sorted. key: of the place, such as data.path; that of a split takes tables of one split.
    joined: whether several tables that say no split are parts of one.
    """
    splits = {name: split_in_name(name) for name in names}
    told = {split for split in splits.values() if split}
    given = _groups(splits, place)
    if key != "data.path" and len(told) > 1:
        problem = f"{key} is one split, but {some(names, 'table')} look like several"
        _refuse(place, problem, [Remedy("takes them as the given splits", [f"data.path={place}", f"~{key}"])])
    if len(names) > 1 and not joined and (key != "data.path" or told <= {"train"}):
        _refuse(place, f"{some(names, 'table')}, and which one is meant is not said", _each(names, place, key, splits))
    if key != "data.path" or told <= {"train"}:
        return dict.fromkeys(names)
    untold = [name for name, split in splits.items() if split is None]
    if untold:
        problem = f"some file names say a split ({', '.join(sorted(told))}), but {one_line(untold[0])} does not"
        _refuse(place, problem, _without(untold, given, place, splits))
    if "train" not in told:
        _refuse(
            place,
            f"only {' and '.join(split for split in SPLITS if split in told)} and no train",
            _no_train(given, place, told),
        )
    return splits


def check_labelled(lacking: Sequence[str], splits: Mapping[str, str | None], place: Path, labels: Sequence[str]) -> None:
    """DataError where tables of a split lack the columns of labels that train has. `lacking`: names of these tables."""
    without = {splits[name] for name in lacking} - {None}
    kept = {name: split for name, split in splits.items() if split not in without}
    if without and "train" in kept.values():
        paths = _groups(kept, place)
        problem = f"{some(lacking, 'table')} has no column {' and '.join(map(repr, labels))}, so no labels"
        remedies = [Remedy(f"goes on without {' and '.join(sorted(map(str, without)))}", given_splits(paths))]
        _refuse(place, problem, remedies if len(paths) == len({*kept.values()}) else [])


def _groups(splits: Mapping[str, str | None], place: Path) -> dict[str, Path]:
    """The file or folder that holds all tables of a split and no others; without the splits for which there is none."""
    found = {}
    for split in SPLITS:
        names = [name for name, said in splits.items() if said == split]
        folder = os.path.commonpath(names) if len(names) > 1 else ""
        inside = [name for name in splits if name.startswith(f"{folder}/")]
        if len(names) == 1:
            found[split] = place / names[0]
        elif folder and inside == names:
            found[split] = place / folder
    return found


def _each(names: Sequence[str], place: Path, key: str, splits: Mapping[str, str | None]) -> list[Remedy]:
    """A command for each table, the one that says train first."""
    order = sorted(names, key=lambda name: splits[name] != "train")
    return [Remedy(f"takes {name} alone", [f"{key}={place / name}"]) for name in order[:_MAX_TABLES]]


def _without(untold: Sequence[str], given: Mapping[str, Path], place: Path, splits: Mapping[str, str | None]) -> list[Remedy]:
    if "train" in given:
        left = some(untold, "table")
        return [
            Remedy(f"leaves {left} out", given_splits(given)),
            Remedy("cuts all splits from train", [f"data.path={given['train']}"]),
        ]
    if len(untold) > 1 or not given:
        return _each(untold, place, "data.path", splits)
    train = place / untold[0]
    return [
        Remedy(f"trains on {untold[0]}", given_splits({"train": train, **given})),
        Remedy(f"takes {untold[0]} alone, and cuts all splits from it", [f"data.path={train}"]),
    ]


def _no_train(given: Mapping[str, Path], place: Path, told: set[str]) -> list[Remedy]:
    """Commands for tables of val and test alone."""
    if len(told) == 1 and not any(path.is_file() for path in given.values()):
        return [Remedy("trains on these, and cuts val and test from them", ["~data.path", f"data.train_path={place}"])]
    return no_train({split: path for split, path in given.items() if path.is_file() or len(given) == 2})


def _refuse(place: Path, problem: str, remedies: Sequence[Remedy]) -> NoReturn:
    raise DataError(f"{place}: {problem}. " + (f"Say {choice(remedies)}" if remedies else f"Please {_APART}"))
