"""What DVC hashes of the user's data: named before it starts where it can't, left out where `prepare` lists it as a reject."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.errors import DataError
from pipeline.prepare.sources.layout import as_text, is_hidden, readable_name


def check_hashable(named: str, path: Path) -> None:
    """DataError where DVC can't hash the data, `named` so: names that are not UTF-8, files that may not be read."""
    place = readable_name(path) + "/" * path.is_dir()  # with it, chmod goes through a link
    closed: list[str] = []
    names: list[str] = []
    for file in _files(path, closed):
        if not _is_utf8(file.removeprefix(str(path))):
            names.append(file)
        elif not os.access(file, os.R_OK, effective_ids=True) and os.path.isfile(file):
            closed.append(file)
    if names:
        raise DataError(
            f"{named}: {_first(names, path)}: not a name in UTF-8, which DVC needs; "
            "rename such files and folders, for example with "
            f"`convmv -r -f latin1 -t utf8 --notest {place}` if they are in Latin-1"
        )
    if closed:
        raise DataError(
            f"{named}: {_first(sorted(closed), path)}: no right to read; give it to yourself with "
            f"`chmod -R u+rX {place}`, or move such files and folders away"
        )


def _files(path: Path, closed: list[str]) -> Iterator[str]:
    """The files that DVC would hash, links to folders not followed; folders that can't be listed go to `closed`."""
    if not path.is_dir():
        yield str(path)
        return
    for folder, names, files in os.walk(path, onerror=lambda error: closed.append(error.filename)):
        names[:] = sorted(name for name in names if not _is_closed_to_all(os.path.join(folder, name)))
        yield from (os.path.join(folder, name) for name in sorted(files))


def _is_closed_to_all(folder: str) -> bool:
    """Whether it is a folder such as lost+found, which neither DVC nor `prepare` looks into."""
    return is_hidden(os.path.basename(folder)) and not os.access(folder, os.R_OK | os.X_OK, effective_ids=True)


def _is_utf8(name: str) -> bool:
    return name.isascii() or as_text(name) == name


def _first(files: Sequence[str], path: Path) -> str:
    """Such as "cat/1.png and 2 more"."""
    name = readable_name(os.path.relpath(files[0], path)) if path.is_dir() else readable_name(path.name)
    return name + (f" and {len(files) - 1} more" if len(files) > 1 else "")
