"""Which file a cell of a table means: the one of that name, or one whose name only other systems write otherwise.

Certain, and told in a note with a count, are Windows' separators, accents composed or decomposed, capitals, and absolute
paths of another machine whose ends, all cut at the same place, are files here. What may mean two files is refused by name.
"""

from __future__ import annotations

import glob
import os
import re
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from pipeline.kinds.kind import BadSampleError
from pipeline.prepare.sources.tree import Folder

_ABSOLUTE = re.compile(r"[A-Za-z]:/|/|~/")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_OUTSIDE = "leads out of the folder of the table"


class MissingError(BadSampleError):
    """There is no such file."""


class Found(NamedTuple):
    """A file that a cell means."""

    path: str
    """From the table's folder."""
    num_bytes: int
    differences: tuple[str, ...] = ()
    """In what the cell differs from it: separators, accents, capitals; tail, name: an absolute path."""


class Listing:
    """The files below a folder, listed when first asked for; beside: as of `Folder`."""

    def __init__(self, folder: Path, beside: Callable[[str], bool] | None = None) -> None:
        self.folder = folder
        self.beside = beside
        self.root = os.path.abspath(folder)
        self.tops = (self.root, os.path.realpath(self.root))

    def inside(self, name: str) -> str | None:
        """A name, absolute or from the folder, as the path from the folder; None where it leads out of it."""
        path = os.path.normpath(os.path.join(self.root, name))
        tops = [top for top in self.tops if path == top or path.startswith(os.path.join(top, ""))]
        return path[len(os.path.join(tops[0], "")) :] or "." if tops else None

    @cached_property
    def paths(self) -> list[str]:
        """All that may be samples, from the folder, in the order of their names' bytes."""
        found = Folder(self.folder, self.beside).walk()
        return [os.path.relpath(folder.path / name, self.folder) for folder in found for name in folder.files]

    @cached_property
    def alike(self) -> Mapping[str, list[str]]:
        """The paths by what is the same where accents may be composed or not and capitals do not count."""
        return _grouped(self.paths, lambda path: {_plain(path)})

    @cached_property
    def by_name(self) -> Mapping[str, list[str]]:
        """The paths by their last part, with and without its suffix."""
        return _grouped(self.paths, _names)


@dataclass(frozen=True)
class Files:
    """From a cell to its file, in one way for all cells."""

    listing: Listing
    pattern: str | None = None
    """`data.files`: {} stands for the cell, or for the last part of an absolute path; a * for any part of a folder's name."""
    cut: int | None = None
    """How many leading parts of another machine's paths are left out; None where no number is certain."""
    origin: str = ""
    """What all paths of another machine begin with."""
    doubtful: Mapping[str, str] = field(default_factory=dict)
    """Files that two different cells would mean, with the reason why only the one that names it exactly does."""

    def find(self, cell: str) -> Found:
        """The file; BadSampleError where there is none, or more than one, or where it lies outside of the table's folder.

        A file outside would be read once and never noticed when it changes: only the data's folder is a dependency of
        the stage. Links inside of the folder may lead out of it.
        """
        names, differences = self.names(cell)
        found = {hit.path: hit for name in names if (hit := self._spelled(name))}
        if len(found) > 1:
            raise BadSampleError(f"may mean {' or '.join(list(found)[:3])}")
        if not found:
            raise MissingError("no such file in the folder of the table")
        [hit] = found.values()
        hit = hit._replace(differences=(*differences, *hit.differences))
        if hit.differences and hit.path in self.doubtful:
            raise BadSampleError(self.doubtful[hit.path])
        return hit

    def names(self, cell: str) -> tuple[list[str], tuple[str, ...]]:
        """The names under which the file may be found, and in what they differ from the cell."""
        name = local_name(cell)
        parts = self.foreign(name)
        if self.pattern is not None:
            inner, differences = (parts[-1], ("name",)) if parts else (name, ())
            return [head + self._tail.replace("{}", inner) for head in self._heads], differences
        if not parts:
            return [name], ()
        end = "/".join(parts[self.cut :])
        if self.cut is not None and self.has(end):
            return [end], ("tail", *(["separators"] if "\\" in name else []))
        if os.path.exists(name):
            raise BadSampleError(_OUTSIDE)
        beginning = f", all of which begin with {self.origin}" if self.origin else ""
        raise MissingError(f"an absolute path of another machine{beginning}")

    def place(self, found: Found) -> Path:
        """Where a found file is, from the machine's root."""
        return Path(self.listing.root, found.path)

    def foreign(self, name: str) -> list[str] | None:
        """The parts of an absolute path that leads out of the folder; None where it is none."""
        plain = name.replace("\\", "/")
        if not _ABSOLUTE.match(plain) or (name.startswith("/") and self.listing.inside(name) is not None):
            return None
        return plain.split("/")

    def has(self, name: str) -> bool:
        """Whether a name from the folder, however it is spelled, is a file."""
        try:
            return self._spelled(name) is not None
        except BadSampleError:
            return False

    @cached_property
    def _heads(self) -> list[str]:
        """What comes before the part of the pattern that holds {}, once for each folder that a * stands for."""
        head = self._cut_pattern[0]
        return _folders_like(self.listing.root, head) if "*" in head else [head]

    @property
    def _tail(self) -> str:
        return self._cut_pattern[1]

    @property
    def _cut_pattern(self) -> tuple[str, str]:
        assert self.pattern is not None
        start = self.pattern.rfind("/", 0, self.pattern.index("{}")) + 1
        return self.pattern[:start], self.pattern[start:]

    def _spelled(self, name: str) -> Found | None:
        """The file of a name as it stands or with / for \\; None where there is none."""
        exact = self._at(name)
        if "\\" not in name:
            return exact or self._alike(name)
        plain = name.replace("\\", "/")
        other = self._at(plain) or self._alike(plain)
        if exact and other:
            raise BadSampleError(f"may mean {exact.path} or {other.path}")
        return exact or (other and other._replace(differences=("separators", *other.differences)))

    def _at(self, name: str) -> Found | None:
        """The file of exactly this name."""
        path = None if "\0" in name else self.listing.inside(name)
        if path is None:
            raise BadSampleError("not a file name" if "\0" in name else _OUTSIDE)
        place = os.path.join(self.listing.root, path)
        try:
            status = os.stat(place)
        except (FileNotFoundError, NotADirectoryError):
            if os.path.islink(place):
                raise BadSampleError("a link to a file that is not there") from None
            return None
        except OSError as error:
            raise BadSampleError(f"can't be read ({error.strerror})") from None
        if not stat.S_ISREG(status.st_mode):
            raise BadSampleError("not a regular file")
        return Found(path, status.st_size)

    def _alike(self, name: str) -> Found | None:
        """The one file whose name differs in the characters that accents are written with, or else in capitals."""
        path = self.listing.inside(name) or name
        alike = self.listing.alike.get(_plain(path), [])
        composed = [other for other in alike if _composed(other) == _composed(path)]
        chosen = composed or alike
        if len(chosen) > 1:
            what = "accents" if composed else "capitals"
            raise BadSampleError(f"may mean {' or '.join(chosen[:3])}, which differ in {what} alone")
        hit = self._at(chosen[0]) if chosen else None
        return hit and hit._replace(differences=("accents" if composed else "capitals",))


def local_name(cell: str) -> str:
    """A cell's name without blanks around it and without file://; BadSampleError where it is empty or a URL."""
    text = cell.strip()
    if not text:
        raise BadSampleError("no file name")
    found = _URL.match(text)
    if not found:
        return text
    host, slash, path = text[found.end() :].partition("/")
    if found[1].lower() != "file" or host not in ("", "localhost"):
        raise BadSampleError(
            f"a URL ({found[1].lower()}://), and only files are read: download them into the folder of the table"
        )
    path = unquote(slash + path)
    return path[1:] if _ABSOLUTE.match(path[1:]) else path  # file:///C:/photos/1.png


def _folders_like(root: str, head: str) -> list[str]:
    """The folders below `root` that a pattern with * stands for, each with a / at its end."""
    return sorted(glob.glob(glob.escape(head).replace("[*]", "*"), root_dir=root))


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def _plain(path: str) -> str:
    return _composed(_composed(path).casefold())


def _grouped(paths: Sequence[str], keys: Callable[[str], set[str]]) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in paths:
        for key in keys(path):
            found[key].append(path)
    return dict(found)


def _names(path: str) -> set[str]:
    last = os.path.basename(path)
    return {last, os.path.splitext(last)[0]}
