"""What may be meant where data is refused: the words to `regatta run` for each meaning."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.data.dataset import SPLITS
from pipeline.processes import one_line


class Remedy(NamedTuple):
    """What may be meant, and the words to `regatta run` for it."""

    meaning: str
    words: list[str]


def choice(remedies: Sequence[Remedy]) -> str:
    """ "this:" or "one of:", and a command a line."""
    commands = [f"\n  regatta run {' '.join(map(_quoted, words))}   # {one_line(meaning)}" for meaning, words in remedies]
    return ("one of:" if len(commands) > 1 else "this:") + "".join(commands)


def _quoted(word: str) -> str:
    """A word to a shell, on one line: line breaks and controls as escapes, which bash and zsh know."""
    if word.isprintable():
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{one_line(escaped)}'"


def given_splits(paths: Mapping[str, Path]) -> list[str]:
    """The words for given splits; without others, train is all data."""
    if list(paths) == ["train"]:
        return [f"data.path={paths['train']}"]
    return ["~data.path", *(f"data.{split}_path={paths[split]}" for split in SPLITS if split in paths)]


def no_train(given: Mapping[str, Path]) -> list[Remedy]:
    """Commands where val and test are there and no train: each as all data, or val for training."""
    alone = [Remedy(f"cuts all splits from {path.name}", [f"data.path={path}"]) for path in given.values()]
    if len(given) < 2:
        return [Remedy("cuts all splits from it", words) for _, words in alone]
    train, test = given["val"], given["test"]
    return [Remedy(f"trains on {train.name}", given_splits({"train": train, "test": test})), *alone]
