"""How all cells of a source's tables find their files: what is certain of them as a whole, notes of it, and remedies."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

from pipeline.kinds.kind import BadSampleError
from pipeline.prepare.sources.files import Files, Found, Listing, MissingError, local_name
from pipeline.prepare.sources.layout import beside_of, readable_name
from pipeline.prepare.sources.remedies import Remedy, choice
from pipeline.processes import one_line
from pipeline.schema.data import DataConfig
from pipeline.wording import share

Cells = Callable[[], Iterator[str]]
"""The cells that name files, in order; the same ones at each call."""
_DIFFERENCES = {
    "separators": "have Windows' separators (\\), taken as /",
    "accents": "write accents in other characters than the files' names (composed or not), taken as the same",
    "capitals": "differ from the files' names in capitals alone, taken as the same",
    "tail": "are absolute paths of another machine, whose ends are files here",
    "name": "are absolute paths of another machine, of which data.files takes the last part",
}
_MAX_SAMPLE = 400


@dataclass(frozen=True)
class Fit:
    """The files of a source's tables, what to know of it, and what to say where too many can't be taken."""

    files: Files
    notes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


@dataclass
class _Tally:
    """What became of all cells."""

    num: int = 0
    num_found: int = 0
    num_missing: int = 0
    differing: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    """By difference the first cell and its file."""
    missing: list[str] = field(default_factory=list)
    """The first missing ones."""
    sample: list[str] = field(default_factory=list)
    """Missing ones at equal distances."""
    meant: dict[str, str] = field(default_factory=dict)
    """By file the cell that means it in a way in which another cell could mean it too."""
    doubtful: dict[str, str] = field(default_factory=dict)


def fit(folder: Path, data: DataConfig, cells: Cells, tables: str) -> Fit:
    """How the cells of the tables in `folder` find their files; `tables` names them."""
    files = _with_cut(Files(Listing(folder, beside_of(data)), data.files), cells)
    tally = _tally(files, cells)
    if tally.meant:
        _find_named_twice(files, cells, tally)
    files = replace(files, doubtful=tally.doubtful)
    notes = [f"{tables}: {line}" for line in _differences(tally)]
    return Fit(files, tuple(notes), tuple(_hints(files, cells, tally, tables)))


def _with_cut(files: Files, cells: Cells) -> Files:
    """The number of leading parts of another machine's paths that is certain: with it alone files are found, and for half."""
    paths = [(name, parts) for name in _local_names(cells) if (parts := files.foreign(name))]
    if not paths or files.pattern is not None:
        return files
    common = _common([parts[:-1] for _, parts in paths])
    hits = {cut: sum(files.has("/".join(parts[cut:])) for _, parts in paths) for cut in range(1, len(common) + 1)}
    good = [cut for cut, num in hits.items() if num]
    certain = len(good) == 1 and 2 * hits[good[0]] >= len(paths)
    origin = paths[0][0][: len("/".join([*common, ""]))] if any(common) else ""  # as it is written
    return replace(files, cut=good[0] if certain else None, origin=origin)


def _local_names(cells: Cells) -> Iterator[str]:
    for cell in cells():
        with suppress(BadSampleError):  # the row says so itself
            yield local_name(cell)


def _tally(files: Files, cells: Cells) -> _Tally:
    tally, step = _Tally(), 1
    for cell in cells():
        tally.num += 1
        try:
            _count_found(tally, cell, files.find(cell))
        except MissingError:
            step = _count_missing(tally, cell, step)
        except BadSampleError:
            pass  # the row says so itself
    return tally


def _count_missing(tally: _Tally, cell: str, step: int) -> int:
    """`step`: distance of the cells that are sampled, here and afterwards."""
    if tally.num_missing < 3:
        tally.missing.append(cell)
    if tally.num_missing % step == 0:
        tally.sample.append(cell)
    tally.num_missing += 1
    if len(tally.sample) < _MAX_SAMPLE:
        return step
    tally.sample = tally.sample[::2]
    return 2 * step


def _count_found(tally: _Tally, cell: str, found: Found) -> None:
    tally.num_found += 1
    for difference in found.differences:
        tally.differing[difference] += 1
        tally.examples.setdefault(difference, f"{one_line(cell.strip())} is {readable_name(found.path)}")
    if {"capitals", "name"} & set(found.differences):
        other = tally.meant.setdefault(found.path, cell)
        if other != cell:
            _doubt(tally, found.path, other, cell)


def _find_named_twice(files: Files, cells: Cells, tally: _Tally) -> None:
    """Doubt the files that one cell names exactly and another means."""
    for cell in cells():
        try:
            found = files.find(cell)
        except BadSampleError:
            continue
        if not {"capitals", "name"} & set(found.differences) and found.path in tally.meant:
            _doubt(tally, found.path, tally.meant[found.path], cell)


def _doubt(tally: _Tally, path: str, one: str, other: str) -> None:
    tally.doubtful.setdefault(path, f"{one.strip()} and {other.strip()} would both be the file {readable_name(path)}")


def _differences(tally: _Tally) -> Iterator[str]:
    for key, words in _DIFFERENCES.items():
        if tally.differing[key]:
            yield f"{share(tally.differing[key], tally.num)} file names {words} ({tally.examples[key]})"


# --- What to say where files are not found


def _hints(files: Files, cells: Cells, tally: _Tally, tables: str) -> Iterator[str]:
    """Where was looked, what is there, and the commands that find more."""
    if not tally.num_missing:
        return
    looked = [_looked(files, cell) for cell in tally.missing]
    more = ", ..." if tally.num_missing > len(looked) else ""
    better = [
        Remedy(f"finds {num} of {tally.num}", ["~data.files" if pattern is None else f"data.files={pattern}"])
        for pattern, num in _better(files, cells, tally)
    ]
    yield (
        f"{share(tally.num_missing, tally.num)} files that {tables} names are not in "
        f"{readable_name(files.listing.folder)} (looked for {', '.join(looked)}{more}). "
        + (f"Files of these names are there elsewhere; say {choice(better)}" if better else _held(files.listing))
    )


def _looked(files: Files, cell: str) -> str:
    """The name that was looked for, as far as it is one."""
    try:
        names, _ = files.names(cell)
    except BadSampleError:
        return one_line(cell.strip())
    return one_line(names[0]) if names else f"{files.pattern} (no folder is named so)"


def _held(listing: Listing) -> str:
    num = len(listing.paths)
    such = f", such as {readable_name(listing.paths[num // 2])}" if num else ""
    files = "1 file that may be a sample" if num == 1 else f"{num} files that may be samples"
    return f"It holds {files}{such}; put these files there, or give as data.path the folder that holds both"


def _better(files: Files, cells: Cells, tally: _Tally) -> list[tuple[str | None, int]]:
    """Other values of data.files that find more, the best first, with how many."""
    found: list[tuple[str | None, int]] = []
    for pattern in proposals(files, tally.sample):
        other = replace(files, pattern=pattern, cut=None, doubtful={})
        result = _tally(_with_cut(other, cells), cells)
        if result.num_found > tally.num_found and not result.doubtful:
            found.append((pattern, result.num_found))
    plain = dict(found).get(None)
    return sorted([item for item in found if item != ("{}", plain)], key=lambda item: -item[1])[:3]


def proposals(files: Files, cells: Sequence[str]) -> list[str | None]:
    """Patterns that find some of the cells: the most frequent, and those that differ in their folders' names as one with *."""
    counts = Counter(pattern for cell in cells for pattern in _fitting(files, cell))
    groups: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
    for pattern in counts:
        head, slash, last = pattern.rpartition("/")
        if slash:
            groups[last, head.count("/")].append(head)
    joined = [f"{_one_for_all(heads)}/{last}" for (last, _), heads in sorted(groups.items()) if len(heads) > 1]
    several: list[str | None] = [None] if files.pattern else []
    return [*several, *joined[:3], *(pattern for pattern, _ in counts.most_common(3))]


def _fitting(files: Files, cell: str) -> set[str]:
    """The patterns with which a cell would be a file."""
    try:
        parts = files.foreign(local_name(cell))
        name = parts[-1] if parts else os.path.normpath(local_name(cell).replace("\\", "/"))
    except BadSampleError:
        return set()
    found = set()
    for path in files.listing.by_name.get(os.path.basename(name), []):
        whole = path if path.endswith(name) else os.path.splitext(path)[0]
        head = whole.removesuffix(name)
        if whole.endswith(name) and (not head or head.endswith("/")) and not set("{}*") & set(path):
            found.add(f"{head}{{}}{path[len(whole) :]}")
    return found


def _one_for_all(heads: Sequence[str]) -> str:
    """One name of folders for several, with * where they differ."""
    levels = zip(*(head.split("/") for head in heads), strict=True)
    return "/".join(_joined_name(sorted(set(names))) for names in levels)


def _joined_name(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    start = "".join(_common(names))
    end = "".join(_common([name[len(start) :][::-1] for name in names]))[::-1]
    return f"{start}*{end}"


def _common(items: Sequence[Sequence[str]]) -> list[str]:
    """What all begin with."""
    levels = zip(*items, strict=False)
    return [level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels)]
