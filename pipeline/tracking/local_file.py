"""The local file of a run of W&B: whether all of the run is in it.

W&B's service answers that a run is over before it has written the end of the run's file, so who counts on the file
looks into it. Its format is LevelDB's log: records in blocks of 32 KiB, each part of a record behind its checksum,
length and kind (https://github.com/google/leveldb/blob/main/doc/log_format.md); W&B puts 7 bytes of its own before.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path

BLOCK = 32 * 1024
PART = struct.Struct("<IHB")
FULL, FIRST, LAST = 1, 2, 4


def wait_until_whole(file: Path, limit_s: float) -> None:
    """Wait until a run's last record, that of its exit code, is in its file; raises TimeoutError after `limit_s`."""
    until = time.monotonic() + limit_s
    while not _has_end(file):
        if time.monotonic() > until:
            raise TimeoutError(f"{file.name} has no end after {limit_s:.0f} s")
        time.sleep(0.01)


def _has_end(file: Path) -> bool:
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # chosen by protobuf's release

    return any(Record.FromString(record).WhichOneof("record_type") == "exit" for record in _records(file.read_bytes()))


def _records(content: bytes) -> Iterator[bytes]:
    """The records of a file that may still grow: one that is not whole yet, and what follows, are left out."""
    record, at = b"", PART.size  # W&B's own bytes are as many as those before a part
    while at + PART.size <= len(content):
        if BLOCK - at % BLOCK < PART.size:  # a block's rest that is too short for a part is empty
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = PART.unpack_from(content, at)
        part = content[at + PART.size : at + PART.size + length]
        if len(part) < length:
            return
        record = part if kind in (FULL, FIRST) else record + part
        if kind in (FULL, LAST):
            yield record
        at += PART.size + length
