"""Whether files change while somebody reads them: names, sizes and times, as DVC tells a change."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.errors import DataError
from pipeline.prepare.sources.layout import readable_name

State = tuple[int, int, int]


class Watch:
    """Files and folders as they are now; links to files are followed."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.before = dict(_states(paths))

    def check(self, reader: str) -> None:
        """DataError where something is no longer as it was; `reader` has read it meanwhile."""
        after = dict(_states(self.paths))
        changed = sorted(name for name in {*self.before, *after} if self.before.get(name) != after.get(name))
        if changed:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise DataError(
                f"{readable_name(changed[0])}{more}: changed while {reader} was reading, so what it has made is not of one "
                "state of the data and is not kept; say the same command again when nobody writes there"
            )


def _states(paths: Sequence[Path]) -> Iterator[tuple[str, State | None]]:
    """Each file's size in bytes, time in ns and number; None for a link that leads nowhere."""
    for path in paths:
        yield from ((file, _state(file)) for file in _files(path))


def _files(path: Path) -> Iterator[str]:
    if path.is_dir():
        yield from (os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    else:
        yield str(path)


def _state(file: str) -> State | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino
