"""The first pass: what every sample is, in columns, without keeping any content. Knows nothing of kinds.

About 100 bytes a sample and its name stay in memory (250 while the splits are made), whatever the size of the contents.
"""

from __future__ import annotations

import contextlib
import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.data.dataset import SPLITS
from pipeline.errors import DataError
from pipeline.kinds.kind import BadSampleError, Content, loaded
from pipeline.prepare.parallel import CrashError, ordered
from pipeline.prepare.raw import Raw, Source
from pipeline.progress import Display

Inspect = Callable[[Content], tuple[int, ...]]
"""What the header of a content says, as integers; BadSampleError where it is none."""
CHUNK_SAMPLES, CHUNK_BYTES = 128, 8 * 2**20
NONE = -1
Column = NDArray[np.int64]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Samples:
    """All samples of a source, in its order; N of them, taken or not."""

    sources: list[str]
    rows: Column
    """(N,), NONE where the file is the sample."""
    in_files: NDArray[np.bool_]
    """(N,) whether the file that `sources` names is the sample, even where a row lists it."""
    contents: keyed.U64
    """(N,) content numbers, 0 where the content can't be read."""
    labels: Column
    """(N,) positions in `label_sets`."""
    splits: Column
    """(N,) given split as a position in SPLITS, or NONE."""
    groups: Column
    """(N,) positions in `group_names`, or NONE."""
    facts: Column
    """(N, facts) what the headers say; 0 for problems."""
    problems: dict[int, str]
    """Why a sample can't be taken."""
    label_sets: list[tuple[str, ...]]
    group_names: list[str]

    def __len__(self) -> int:
        return len(self.sources)

    def name(self, i: int) -> str:
        """Where a sample came from, for people to read."""
        return self.sources[i] if self.in_files[i] or self.rows[i] == NONE else f"{self.sources[i]}:{self.rows[i]}"

    def good(self) -> Column:
        """Positions of the samples without a problem."""
        keep = np.ones(len(self), bool)
        keep[list(self.problems)] = False
        return np.flatnonzero(keep)


def chunks(raws: Iterable[Item], weigh: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Items in portions that are handy by number and weight."""
    chunk: list[Item] = []
    weight = 0
    for raw in raws:
        chunk.append(raw)
        weight += weigh(raw)
        if len(chunk) == CHUNK_SAMPLES or weight >= CHUNK_BYTES:
            yield chunk
            chunk, weight = [], 0
    if chunk:
        yield chunk


def scan(source: Source, inspect: Inspect, num_facts: int, max_bytes: int, workers: int) -> Samples:
    """Read every sample once: its content number and header, `num_facts` integers. Contents of more than `max_bytes` are not
    read.
    """
    columns = _Columns(num_facts)
    tasks = chunks((_capped(raw, max_bytes) for raw in source.read()), lambda raw: raw.num_bytes)
    with Display("prepare: reading", "sample", source.num_samples) as display, crashes_explained():
        for chunk, found in ordered(partial(_inspected, inspect), tasks, _weight, workers):
            columns.add(chunk, found)
            display.advance(len(chunk))
    return columns.samples()


def _weight(chunk: list[Raw]) -> int:
    """Memory that a chunk takes while it is read: the content and a copy on its way."""
    return 2 * sum(raw.num_bytes for raw in chunk)


def source_digest(samples: Samples) -> str:
    """A 128-bit hex digest of what the source holds: contents, labels, given splits, groups; no order, names or places."""
    labels = _text_numbers("\x1f".join(label_set) for label_set in samples.label_sets)
    groups = np.r_[np.uint64(0), _text_numbers(samples.group_names)]
    columns = (samples.contents, labels[samples.labels], (samples.splits + 1).astype(np.uint64), groups[samples.groups + 1])
    order = np.lexsort(columns)
    hashed = hashlib.blake2b(digest_size=16)
    for column in columns:
        hashed.update(column[order].astype("<u8").tobytes())
    return hashed.hexdigest()


def _text_numbers(texts: Iterable[str]) -> keyed.U64:
    return np.array([keyed.content_id(text.encode()) for text in texts], np.uint64)


@contextlib.contextmanager
def crashes_explained() -> Iterator[None]:
    """Turn the end of a worker process into an error that says where to look."""
    try:
        yield
    except CrashError as crash:
        raws = [raw for task in crash.tasks for raw in task]
        raise DataError(
            f"{raws[0].source} ... {raws[-1].source}: a decoding process crashed or ran out of memory at one of these "
            f"{len(raws)} samples; move them away in halves to find which"
        ) from None


def _capped(raw: Raw, max_bytes: int) -> Raw:
    if raw.content is None or raw.num_bytes <= max_bytes:
        return raw
    return raw._replace(
        content=None, num_bytes=0, problem=f"{raw.num_bytes} bytes are more than any sample needs ({max_bytes})"
    )


def _inspected(inspect: Inspect, chunk: list[Raw]) -> list[tuple[int, tuple[int, ...] | str]]:
    """Per sample its content number and the facts, or why there are none."""
    return [_inspected_one(inspect, raw) for raw in chunk]


def _inspected_one(inspect: Inspect, raw: Raw) -> tuple[int, tuple[int, ...] | str]:
    number = 0
    try:
        if raw.content is None:
            return 0, raw.problem or "no content"
        content = loaded(raw.content)
        number = content_number(content)
        return number, raw.problem or tuple(inspect(content))
    except BadSampleError as bad:
        return number, str(bad)


def content_number(content: bytes | NDArray[Any]) -> int:
    """The number of a loaded content's raw bytes; of an array's as the smallest type that holds it, however it is stored."""
    if isinstance(content, bytes):
        return keyed.content_id(content)
    if content.dtype.kind in "iub":
        small = content.min() >= 0 and content.max() <= 255
        content = content.astype(np.uint8 if small else "<i8")
    return keyed.content_id(np.ascontiguousarray(content).tobytes())


class _Columns:
    """Columns that grow."""

    def __init__(self, num_facts: int) -> None:
        self.num_facts = num_facts
        self.sources: list[str] = []
        self.in_files = array("b")
        self.contents = array("Q")
        self.rows, self.labels, self.splits, self.groups, self.facts = (array("q") for _ in range(5))
        self.problems: dict[int, str] = {}
        self.label_codes: dict[tuple[str, ...], int] = {}
        self.group_codes: dict[str, int] = {}

    def add(self, chunk: list[Raw], found: list[tuple[int, tuple[int, ...] | str]]) -> None:
        for raw, (number, facts) in zip(chunk, found, strict=True):
            if isinstance(facts, str):
                self.problems[len(self.sources)] = facts
                facts = (0,) * self.num_facts
            same = self.sources and raw.source == self.sources[-1]
            self.sources.append(self.sources[-1] if same else raw.source)  # the rows of a file share one text
            self.in_files.append(raw.row is None or isinstance(raw.content, Path))
            self.contents.append(number)
            self.rows.append(NONE if raw.row is None else raw.row)
            self.labels.append(self.label_codes.setdefault(raw.labels, len(self.label_codes)))
            self.splits.append(NONE if raw.split is None else SPLITS.index(raw.split))
            self.groups.append(NONE if raw.group is None else self.group_codes.setdefault(raw.group, len(self.group_codes)))
            self.facts.extend(facts)

    def samples(self) -> Samples:
        return Samples(
            sources=self.sources,
            rows=np.frombuffer(self.rows, np.int64),
            in_files=np.frombuffer(self.in_files, np.bool_),
            contents=np.frombuffer(self.contents, np.uint64),
            labels=np.frombuffer(self.labels, np.int64),
            splits=np.frombuffer(self.splits, np.int64),
            groups=np.frombuffer(self.groups, np.int64),
            facts=np.frombuffer(self.facts, np.int64).reshape(-1, self.num_facts),
            problems=self.problems,
            label_sets=list(self.label_codes),
            group_names=list(self.group_codes),
        )
