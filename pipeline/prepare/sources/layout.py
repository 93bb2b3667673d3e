"""Names of files and folders that say which split is inside."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from pipeline.processes import one_line
from pipeline.schema.data import PATHS, DataConfig

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
_OF_SYSTEMS = {
    "__macosx", "_ds_store", "icon\r",  # macOS
    "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "recycler", "system volume information",  # Windows
    "lost+found",  # ext4
    "@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot",  # network disks of Synology and QNAP
    "__pycache__",
}  # fmt: skip
_BESIDE_SUFFIXES = {
    "txt", "md", "rst", "pdf", "rtf", "doc", "docx", "odt", "htm", "html", "url",  # read by people
    "csv", "tsv", "xls", "xlsx", "json", "jsonl", "xml", "yaml", "yml", "toml", "cfg", "ini",  # tables and annotations
    "py", "ipynb", "sh", "log",
}  # fmt: skip
_BESIDE_NAMES = {
    "readme", "license", "licence", "copying", "notice", "authors", "citation", "changelog", "makefile", "md5sums",
    "sha256sums",
}  # fmt: skip
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def is_hidden(name: str) -> bool:
    """Files and folders that a system leaves behind, and all whose name starts with a dot; they are never samples."""
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def beside_of(data: DataConfig | type[DataConfig] = DataConfig) -> Callable[[str], bool]:
    """Which files lie beside samples of a kind and are none, by their name: texts, tables, annotations, licences.

    Where texts are the kind's samples they are none, but for those of such a name as README.txt.
    """

    def is_beside(name: str) -> bool:
        stem, dot, suffix = name.lower().rpartition(".")
        if not dot or suffix in data.sample_files:
            return (stem or suffix) in _BESIDE_NAMES
        return suffix in _BESIDE_SUFFIXES or suffix in data.beside_files

    return is_beside


def split_and_frame(name: str) -> tuple[str, str] | None:
    """The split that a folder's name says and the name without that word: "training_set" gives "train" and "{}_set".

    None where it says none, or several.
    """
    said = [match for match in _WORD.finditer(name) if match[0].lower() in SPLIT_WORDS]
    if len(said) != 1:
        return None
    frame = f"{name[: said[0].start()]}{{}}{name[said[0].end() :]}".lower()
    return SPLIT_WORDS[said[0][0].lower()], frame


def is_of_split_alone(frame: str) -> bool:
    """Whether a folder's name says nothing but its split: "test", "test_images", "trainingSet", "train2017"."""
    return "".join(re.findall("[a-z]", frame)) in _NO_OTHER_MEANING


_NO_OTHER_MEANING = {
    "", "set", "data", "dataset", "files", "folder", "split", "image", "images", "imgs", "photos", "pictures",
    "text", "texts", "audio", "sounds", "clips", "recordings", "wav",
}  # fmt: skip


def split_in_name(name: str) -> str | None:
    """The split that a name such as "train-00000-of-00002.parquet" or "cifar10_test.parquet" says; None: none or several."""
    found = {SPLIT_WORDS[word.lower()] for word in _WORD.findall(name) if word.lower() in SPLIT_WORDS}
    return found.pop() if len(found) == 1 else None


def key_of(path: Path, data: DataConfig) -> str:
    """The key that names a path, such as data.path."""
    return next(f"data.{key}" for key in PATHS if getattr(data, key) and Path(getattr(data, key)) == path)


def readable_name(path: Path | str) -> str:
    """A path as a part of a line that any file can hold: line breaks, controls and what is not UTF-8 become escapes."""
    return one_line(as_text(path))


def as_text(path: Path | str) -> str:
    """A path as text that any file can hold: bytes that are not UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
