"""A folder per class, with any depth below it, and perhaps train/, val/ and test/ above.

Links to files and folders are followed; a link back to a folder above is not. Names are read in sorted order.
"""

from __future__ import annotations

import errno
import stat
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import DataError
from pipeline.prepare.raw import Raw, Source, portioned
from pipeline.prepare.sources.arrangement import Asked, ClassFolder, arranged
from pipeline.prepare.sources.layout import beside_of, key_of, readable_name
from pipeline.prepare.sources.tree import Folder
from pipeline.schema.data import DataConfig
from pipeline.wording import some

_STRAY = "not in a class folder"
_LOOP = "a link to a folder above it"
_GONE = "a link to a file that is not there"


@dataclass
class _Listing:
    """What was found: samples, and names of what is none."""

    raws: list[Raw] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)


def open_folder(path: Path, data: DataConfig) -> Source:
    """The files below a folder, labelled by the class folder that they are in."""
    if not path.is_dir():
        raise DataError(
            f"{path}: a file; data.source=folder needs a folder with one folder per class (unpack an archive first)"
        )
    root = Folder(path, beside_of(data))
    if not root.holds_samples:
        root = Folder(path, beside=lambda name: False)  # nothing but such files: they are what can't be taken
    found = arranged(root, Asked(key_of(path, data), data.class_level, data.source == "folder"))
    listing = _Listing()
    for item in found.classes:
        _list_class(item, item.folder, {}, listing)
    for folder in found.above:
        _list_strays(folder, listing)
    notes = [*found.notes, *_left(listing), *_alike(found.classes)]
    return Source("single", portioned(lambda: listing.raws), len(listing.raws), None, tuple(notes))


def _list_class(item: ClassFolder, folder: Folder, seen: dict[str, Folder], listing: _Listing) -> None:
    """All files of a class. `seen`: its folders by their place; what a link leads to again is not listed again."""
    first = seen.setdefault(folder.real, folder)
    if first is not folder:
        reason = f"the same folder as {first.name}, which is read already"
        listing.raws.append(_problem(folder, "", item, reason))
        return
    listing.raws += [_raw(folder, name, item) for name in folder.files]
    listing.raws += [_problem(folder, name, item, _LOOP) for name in folder.loops]
    listing.hidden += folder.hidden
    listing.beside += folder.beside
    for inner in folder.folders:
        _list_class(item, inner, seen, listing)


def _list_strays(folder: Folder, listing: _Listing) -> None:
    """What lies beside class folders, or beside the folders of given splits."""
    nothing = ClassFolder(folder, "", None)
    for name in folder.files:
        raw = _raw(folder, name, nothing)
        if raw.problem == _GONE and "." not in name:  # it may have been a class
            raise DataError(
                f"{readable_name(folder.path / name)}: a link to {readable_name((folder.path / name).readlink())}, which is "
                "not there; make it anew, or remove it"
            )
        listing.raws.append(raw._replace(content=None, num_bytes=0, problem=raw.problem or _STRAY))
    listing.raws += [_problem(folder, name, nothing, _LOOP) for name in folder.loops]
    listing.hidden += folder.hidden
    listing.beside += folder.beside


def _raw(folder: Folder, name: str, item: ClassFolder) -> Raw:
    path = folder.path / name
    return raw_of(path, readable_name(path.relative_to(folder.root)))._replace(labels=(item.label,), split=item.split)


def raw_of(path: Path, source: str) -> Raw:
    """A file as a sample without a label."""
    nothing = Raw(source, None, (), None, 0)
    try:
        status = path.stat()
    except OSError as error:
        return nothing._replace(problem=_why(path, error))
    if not stat.S_ISREG(status.st_mode):
        return nothing._replace(problem="not a regular file")
    return nothing._replace(content=path, num_bytes=status.st_size)


def _why(path: Path, error: OSError) -> str:
    if path.is_symlink() and error.errno == errno.ELOOP:
        return "a link that leads to itself"
    if path.is_symlink() and error.errno in (errno.ENOENT, errno.ENOTDIR):
        return _GONE
    return f"can't be read ({error.strerror})"


def _problem(folder: Folder, name: str, item: ClassFolder, reason: str | None) -> Raw:
    source = readable_name((folder.path / name).relative_to(folder.root))
    return Raw(source, None, (item.label,), None, 0, split=item.split, problem=reason)


def _left(listing: _Listing) -> list[str]:
    """Notes on what is no sample."""
    notes = []
    if listing.hidden:
        notes.append(f"hidden or a system's, so not read: {_counted(listing.hidden, 'file or folder', 'files or folders')}")
    if listing.beside:
        notes.append(f"files of other kinds beside the samples, so not read: {_counted(listing.beside, 'file', 'files')}")
    return notes


def _counted(names: Sequence[str], one: str, several: str) -> str:
    """Such as "3 files (LICENSE, labels.csv)": some are of the same name."""
    different = sorted({readable_name(name) for name in names})
    more = ", ..." if len(different) > 5 else ""
    return f"{len(names)} {one if len(names) == 1 else several} ({', '.join(different[:5])}{more})"


def _alike(classes: Sequence[ClassFolder]) -> list[str]:
    """A note on classes whose names differ in capitals alone."""
    names: defaultdict[str, set[str]] = defaultdict(set)
    for item in classes:
        names[item.label.casefold()].add(item.label)
    alike = [" and ".join(sorted(group)) for _, group in sorted(names.items()) if len(group) > 1]
    return [f"different classes, though they differ in capitals alone: {some(alike, 'pair')}"] if alike else []
