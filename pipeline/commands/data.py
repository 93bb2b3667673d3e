"""`regatta data link NAME PATH` and `regatta data add NAME`: how data that lies elsewhere gets below `data/`."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from pipeline.artifacts import held
from pipeline.commands.root import BACKBONE_KEY, DATA_KEYS, PUBLISHED, backbone_said, inside, path_said
from pipeline.errors import ConfigError, DataError, StorageError
from pipeline.prepare.sources.layout import readable_name

DATA = Path("data")


@dataclass(frozen=True)
class Link:
    """A link below `data/`, which is not committed."""

    path: Path
    target: Path

    @property
    def replaces(self) -> bool:
        """Whether a link of this name leads elsewhere now."""
        return self.path.is_symlink() and self.path.readlink() != self.target

    def make(self) -> str:
        """Make it, and say so."""
        if self.path.is_symlink():
            self.path.unlink()
        try:
            self.path.parent.mkdir(exist_ok=True)
            self.path.symlink_to(self.target)
        except OSError as error:
            raise StorageError(f"{self.path}: can't be made a link ({error.strerror})") from None
        return f"{self} (a link of this machine, not committed)"

    def __str__(self) -> str:
        return readable_name(f"{self.path} -> {self.target}")


def data(options: argparse.Namespace) -> int:
    from pipeline.commands.run import LOCK

    if options.action == "link":
        link = named_link(options.name, options.path)
        with held(LOCK) if link.replaces else nullcontext():  # a run may be reading what it led to
            print(link.make())
    else:
        with held(LOCK):
            add(options.name)
    return 0


def named_link(name: str, path: str) -> Link:
    """The link that a user asks for by name; it may replace a link, never data."""
    place = _place(name)
    if place.exists() and not place.is_symlink():
        raise DataError(f"{place}: already there and no link; choose another name")
    return Link(place, _existing(path, f"data link {name}"))


def add(name: str) -> None:
    """Hand `data/NAME` to DVC. A link's target stays where it is, so DVC can't take it."""
    from dvc.exceptions import DvcException

    from pipeline.commands.hashing import check_hashable
    from pipeline.commands.project import Project
    from pipeline.commands.reproduce import worded

    place = _place(name)
    if place.is_symlink():
        raise DataError(
            f"{place}: a link to {place.resolve()}; DVC keeps what lies in the project: copy it with "
            f"`rm {place} && cp -r {place.resolve()} {place}`, then say this again"
        )
    if not place.exists():
        raise DataError(f"{place}: nothing there; copy the data to it first")
    check_hashable(str(place), place)
    try:
        with Project() as repo:
            repo.add(str(place))
    except DvcException as error:
        raise StorageError(f"{place}: DVC can't take it ({error})") from None
    except OSError as error:
        raise worded(error) from None
    print(f"{place} is kept by DVC; commit {place}.dvc, and `dvc push` sends the data to the remote")


def linked(arguments: Sequence[str]) -> tuple[list[str], list[Link]]:
    """Overrides with every path outside of the project replaced by a link below `data/`, and the links to be made.

    What a pretrained network lies in likewise. Paths and `data.files` are quoted for Hydra's grammar, in which {} and blanks
    mean something else.
    """
    words: list[str] = []
    links: list[Link] = []
    for argument in arguments:
        if pattern := path_said(argument, ["data.files"]):
            words.append(f"{pattern[0]}={_quoted(pattern[1])}")
            continue
        if backbone := backbone_said(argument):
            check_there(*backbone)
            words += [f"{BACKBONE_KEY}={backbone[0]}", _below(f"{BACKBONE_KEY}_path", backbone[1], links)]
            # What the kind of data takes along is for other networks, so that this preset is said beside it.
            words += [] if any(word.startswith("preset=") for word in arguments) else ["preset=backbone"]
            continue
        said = path_said(argument, DATA_KEYS)
        words.append(argument if said is None else _below(*said, links))
    return words, links


def check_there(layout: str, path: str) -> None:
    """ConfigError where what a pretrained network lies in is outside of the project and not there."""
    place = Path(path).expanduser()
    if inside(place) is None and not is_there(place, f"{BACKBONE_KEY} = {layout}:{path}"):
        if layout == PUBLISHED:
            from pipeline.backbones.folder import there

            there(place)
        raise ConfigError(f"{BACKBONE_KEY} = {layout}:{path}: there is no such file")


def _below(key: str, path: str, links: list[Link]) -> str:
    """The override of a path below the project; where that is a link yet to be made, it joins the others."""
    place = inside(Path(path).expanduser())
    if place is None:
        link = _link_for(path, key)
        links += [] if link.path.is_symlink() else [link]
        place = link.path
    return f"{key}={_quoted(place.as_posix())}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _link_for(path: str, key: str) -> Link:
    """A link named after what it leads to; ConfigError where another link has the name."""
    target = _existing(path, key)
    link = Link(DATA / re.sub(r"[^\w.-]+", "-", target.name).strip("-."), target)
    there = link.path.is_symlink() or link.path.exists()
    if there and not (link.path.is_symlink() and link.path.readlink() == target):
        what = f"leads to {link.path.readlink()}" if link.path.is_symlink() else "is something else"
        raise ConfigError(
            f"{key}={path}: {link.path} {what}; choose a name: `regatta data link NAME {path}`, then {key}=data/NAME"
        )
    return link


def _existing(path: str, key: str) -> Path:
    target = Path(os.path.abspath(Path(path).expanduser()))
    if not is_there(target, f"{key}={path}"):
        raise DataError(f"{key}={path}: there is no such file or folder")
    return target


def is_there(place: Path, named: str) -> bool:
    """Whether a file or folder is there; DataError where this user may not look."""
    try:
        place.stat()
    except PermissionError:
        raise DataError(f"{named}: no right to look into {place.resolve().parent}, or into a folder above it") from None
    except OSError:
        return False
    return True


def _place(name: str) -> Path:
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ConfigError(f"{name!r}: a name in data/ consists of letters, digits, '.', '-' and '_'")
    return DATA / name
