"""How often a test split has been read in this repository: each reading has a line before it is seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.artifacts import append_jsonl, make_dir, read_jsonl, runs_root

Reading = Mapping[str, str]
"""The digest of the `dataset`, and of whose answers it was read for: the `weights`, or a study's `run`."""


@contextmanager
def counted_read(dataset_digest: str, weights_digest: str) -> Iterator[int]:
    """Read the test split in the block; how often it has been read, this time included, in this repository.

    The reading is recorded before it happens, so that one that is killed counts: it may have been seen. Where the block fails
    it has shown nothing, and the record is withdrawn.
    """
    read = {"dataset": dataset_digest, "weights": weights_digest}
    record_reads([read])
    try:
        yield num_reads(place(), dataset_digest)
    except BaseException:
        record_reads([read], withdrawn=True)
        raise


def record_reads(reads: Sequence[Reading], **more: Any) -> None:
    """A line for each."""
    make_dir(place().parent)
    time = datetime.now(UTC).isoformat(timespec="seconds")
    append_jsonl(place(), [{**read, "time": time, **more} for read in reads])


def num_reads(path: Path, dataset_digest: str) -> int:
    """How often a dataset's test split has been read, by the records."""
    reads = [read for read in read_jsonl(path) if read["dataset"] == dataset_digest]
    return sum(-1 if read.get("withdrawn") else 1 for read in reads)


def place() -> Path:
    """The file of the records."""
    return runs_root() / "test-reads.jsonl"
