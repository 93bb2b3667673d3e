"""A folder per class, with any depth below it, and perhaps train/, val/ and test/ above.

Links to files and folders are followed; a link back to a folder above is not. Names are read in sorted order.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pipeline.data.labels import clean
from pipeline.data.raw import Raw, Source
from pipeline.data.sources.layout import SPLIT_WORDS, is_hidden, readable_name
from pipeline.data.wording import some
from pipeline.errors import DataError
from pipeline.schema.data import DataConfig

_STRAY = "not in a class folder"


class _Listing:
    """What was found: samples, and what a reader should know."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.raws: list[Raw] = []
        self.empty: list[str] = []
        self.num_hidden = 0


def open_folder(path: Path, data: DataConfig) -> Source:
    """The files below a folder, labelled by the class folder that they are in."""
    if not path.is_dir():
        raise DataError(
            f"{path}: a file; data.source=folder needs a folder with one folder per class (unpack an archive first)"
        )
    listing = _Listing(path)
    layout = _layout(path)
    for place, split in layout.items():
        _list_classes(place, split, listing)
    if path not in layout:
        _list_strays(path, listing)
    if not any(raw.labels[0] for raw in listing.raws):
        raise DataError(f"{path}: no class folders with files in them; put the images of each class into a folder of its name")
    notes = []
    if listing.empty:
        notes.append(f"empty folders, so not a class: {some(listing.empty, 'folder')}")
    if listing.num_hidden:
        notes.append(f"{listing.num_hidden} hidden or system files were not read")
    return Source("single", lambda: iter(listing.raws), len(listing.raws), None, tuple(notes))


def _layout(path: Path) -> dict[Path, str | None]:
    """Folders that hold class folders, with their split; only the root itself where no splits are given."""
    names = [entry.name for entry in _entries(path) if entry.is_dir() and not is_hidden(entry.name)]
    splits = {name: SPLIT_WORDS[name.lower()] for name in names if name.lower() in SPLIT_WORDS}
    others = [name for name in names if name not in splits]
    told = sorted(set(splits.values()))
    if len(splits) > len(told):
        raise DataError(f"{path}: {', '.join(splits)} mean {', '.join(told)}: one split has two folders; join them")
    if not splits or ("train" not in told and others) or (told == ["train"] and others):
        return {path: None}
    if others:
        raise DataError(
            f"{path}: {', '.join(splits)} look like given splits, with {some(others, 'other folder')} beside them; "
            "move those away, or set data.train_path, data.val_path and data.test_path"
        )
    if "train" not in told:
        raise DataError(
            f"{path}: only {', '.join(splits)} and no train; to cut all splits from it, set data.path={path / names[0]}"
        )
    return {path / name: split for name, split in splits.items()}


def _list_classes(place: Path, split: str | None, listing: _Listing) -> None:
    for entry in _entries(place):
        name = readable_name(entry.name)
        if is_hidden(entry.name):
            listing.num_hidden += 1
        elif entry.is_dir():
            before = len(listing.raws)
            _list_files(Path(entry.path), clean(name), split, (os.path.realpath(place),), listing)
            if len(listing.raws) == before:
                listing.empty.append(_relative(Path(entry.path), listing))
        else:
            listing.raws.append(_problem(Path(entry.path), "", split, _STRAY, listing))


def _list_strays(root: Path, listing: _Listing) -> None:
    """Files beside the folders of given splits."""
    for entry in _entries(root):
        if is_hidden(entry.name):
            listing.num_hidden += 1
        elif not entry.is_dir():
            listing.raws.append(_problem(Path(entry.path), "", None, _STRAY, listing))


def _list_files(folder: Path, label: str, split: str | None, above: tuple[str, ...], listing: _Listing) -> None:
    here = os.path.realpath(folder)
    if here in above:
        listing.raws.append(_problem(folder, label, split, "a link to a folder above it", listing))
        return
    for entry in _entries(folder):
        if is_hidden(entry.name):
            listing.num_hidden += 1
        elif entry.is_dir():
            _list_files(Path(entry.path), label, split, (*above, here), listing)
        else:
            listing.raws.append(_raw(entry, label, split, listing))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise DataError(f"{folder}: can't be listed ({error.strerror}); check its rights") from None


def _raw(entry: os.DirEntry[str], label: str, split: str | None, listing: _Listing) -> Raw:
    try:
        status = entry.stat()
    except OSError as error:
        reason = "a link to a file that is not there" if entry.is_symlink() else f"can't be read ({error.strerror})"
        return _problem(Path(entry.path), label, split, reason, listing)
    if not stat.S_ISREG(status.st_mode):
        return _problem(Path(entry.path), label, split, "not a regular file", listing)
    path = Path(entry.path)
    return Raw(_relative(path, listing), None, (label,), path, status.st_size, split=split)


def _problem(path: Path, label: str, split: str | None, reason: str, listing: _Listing) -> Raw:
    return Raw(_relative(path, listing), None, (label,), None, 0, split=split, problem=reason)


def _relative(path: Path, listing: _Listing) -> str:
    return readable_name(path.relative_to(listing.root))
