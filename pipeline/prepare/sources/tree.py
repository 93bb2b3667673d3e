"""Folders as they lie on disk: each is listed once, in the order of its names' bytes, links followed but never in a circle."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import DataError
from pipeline.prepare.labels import clean
from pipeline.prepare.sources.layout import as_text, beside_of, is_hidden, readable_name


class _Entries(NamedTuple):
    """The names in a folder, by what they are."""

    folders: list[Folder]
    files: list[str]
    beside: list[str]
    hidden: list[str]
    loops: list[str]


class Folder:
    """A folder below the data's own, which is at depth 0.

    beside: whether a file of this name lies beside samples and is none; None: as with images.
    """

    def __init__(self, path: Path, beside: Callable[[str], bool] | None = None, inside: Folder | None = None) -> None:
        self.path = path
        self.depth: int = inside.depth + 1 if inside else 0
        self.root: Path = inside.root if inside else path
        self.real = os.path.realpath(path)
        self._above: tuple[str, ...] = (*inside._above, inside.real) if inside else ()
        self._beside = beside or beside_of()

    @property
    def label(self) -> str:
        """The class that it would name."""
        return clean(as_text(self.path.name))

    @property
    def name(self) -> str:
        """From the data's folder to this one, for people to read."""
        return readable_name(self.path.relative_to(self.root))

    @property
    def folders(self) -> list[Folder]:
        """The folders in it."""
        return self._entries.folders

    @property
    def files(self) -> list[str]:
        """Names of what may be samples: files, and links and pipes too, which can't be taken."""
        return self._entries.files

    @property
    def beside(self) -> list[str]:
        """Names of the files that lie beside samples."""
        return self._entries.beside

    @property
    def hidden(self) -> list[str]:
        """Names of files and folders that are hidden or a system's."""
        return self._entries.hidden

    @property
    def loops(self) -> list[str]:
        """Names of the links that lead to a folder above them."""
        return self._entries.loops

    @cached_property
    def filled(self) -> list[Folder]:
        """The folders in it with anything, at any depth, that may be a sample."""
        return [folder for folder in self.folders if folder.holds_samples]

    @cached_property
    def holds_samples(self) -> bool:
        """Whether anything in it, at any depth, may be a sample."""
        return any(folder.files for folder in self.walk())

    @property
    def is_empty(self) -> bool:
        """Whether it holds no file at all, at any depth."""
        return not any(folder.files or folder.beside for folder in self.walk())

    def walk(self, seen: dict[str, Folder] | None = None) -> Iterator[Folder]:
        """This folder and all below it, each once, by whatever link it is met first; `seen`: those met, by their place."""
        seen = {} if seen is None else seen
        if self.real not in seen:
            seen[self.real] = self
            yield self
            for folder in self.folders:
                yield from folder.walk(seen)

    @cached_property
    def _entries(self) -> _Entries:
        found = _Entries([], [], [], [], [])
        for entry in _scanned(self.path):
            if is_hidden(entry.name):
                found.hidden.append(entry.name)
            elif not _is_folder(entry):
                (found.beside if self._beside(entry.name) else found.files).append(entry.name)
            elif (folder := Folder(self.path / entry.name, self._beside, self)).real in folder._above:
                found.loops.append(entry.name)
            else:
                found.folders.append(folder)
        return found


def _scanned(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise DataError(f"{readable_name(path)}: can't be listed ({error.strerror}); check its rights") from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or one that leads where nobody may look
        return False
