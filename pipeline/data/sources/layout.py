"""Names of files and folders that say which split is inside."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import DataError

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""Names that people give to the three splits."""
_SYSTEM_FILES = ("thumbs.db", "desktop.ini", "__macosx")


def is_hidden(name: str) -> bool:
    """Files and folders that a system leaves behind, and all whose name starts with a dot; they are never samples."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def split_in_name(name: str) -> str | None:
    """The split that a name such as "train-00000-of-00002.parquet" or "cifar10_test.parquet" says; None: none or several."""
    found = {SPLIT_WORDS[word] for word in re.findall(r"[a-z]+", name.lower()) if word in SPLIT_WORDS}
    return found.pop() if len(found) == 1 else None


def splits_in_names(names: Iterable[str], place: Path, remedy: str) -> dict[str, str | None]:
    """The split that each file's name says: for all files or for none.

    DataError where only some say one, or none says train; `remedy` says what to do then.
    """
    splits = {name: split_in_name(name) for name in names}
    told = {split for split in splits.values() if split}
    if told <= {"train"}:
        return dict.fromkeys(splits)
    untold = [name for name, split in splits.items() if split is None]
    if untold or "train" not in told:
        problem = f"{untold[0]} does not" if untold else "none says train"
        raise DataError(f"{place}: some file names say a split ({', '.join(sorted(told))}), but {problem}; {remedy}")
    return splits


def readable_name(path: Path | str) -> str:
    """A path as text that any file can hold: bytes that are not UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
