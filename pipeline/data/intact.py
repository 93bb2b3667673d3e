"""Whether the files of a stage are still those that it wrote: SHA-256 of each, looked at once for every state of a file."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.artifacts import file_digest, remedy, storage_errors, write_json
from pipeline.errors import StorageError

TOLD_BYTES = 2 * 2**30
"""From so much on, reading all of it takes a time that is worth a line."""
State = list[int]
Seen = dict[str, tuple[State, str]]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 in hex of every file below a folder, by its path there."""
    with storage_errors(folder):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}


def check_intact(folder: Path, expected: Mapping[str, str], stage: str) -> None:
    """StorageError where a file is missing or has other bytes than `expected`; `stage` can make them anew.

    What was hashed is remembered beside the folder, so that a file is read again only when it has been written to.
    """
    record = folder.parent / f".{folder.name}.intact.json"
    seen = _read(record)
    states = {name: _state(folder / name, stage) for name in expected}
    new = [name for name in expected if seen.get(name) != (states[name], expected[name])]
    if (size := sum(states[name][0] for name in new)) > TOLD_BYTES:
        print(f"{folder}: {size / 1e9:.1f} GB are compared with what {stage} wrote", flush=True)
    for name in new:
        with storage_errors(folder / name):
            if file_digest(folder / name) != expected[name]:
                raise StorageError(f"{folder / name}: not the bytes that {stage} wrote; {remedy(folder / name)}")
    if new:
        with contextlib.suppress(StorageError):  # where nothing may be written all is read again the next time
            write_json(record, {name: (states[name], expected[name]) for name in expected})


def _read(record: Path) -> Seen:
    """What was found whole before; nothing where that can't be told."""
    try:
        return {name: (list(state), str(of)) for name, (state, of) in json.loads(record.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _state(path: Path, stage: str) -> State:
    """Size in bytes, times of change in ns, and number. Whoever writes to a file can set back one of the times only."""
    try:
        found = path.stat()
    except OSError:
        raise StorageError(f"{path}: missing, though {stage} wrote it; {remedy(path)}") from None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
