"""The first pass: what every sample is, in columns, without keeping any content. Knows nothing of kinds.

About 100 bytes a sample and its name stay in memory (250 while the splits are made), whatever the size of the contents.
"""

from __future__ import annotations

import contextlib
import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.data.dataset import SPLITS
from pipeline.errors import DataError
from pipeline.kinds.reading import Inspected, Reading, in_threads
from pipeline.prepare.parallel import CrashError, ordered
from pipeline.prepare.raw import NONE, Column, Portion, Said, Source, Value
from pipeline.progress import Display

if TYPE_CHECKING:
    import pyarrow as pa

_SPLIT_CODES: dict[str | None, int] = {None: NONE, **{name: i for i, name in enumerate(SPLITS)}}


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
    times: Column
    """(N,) positions in `time_texts`, or NONE."""
    facts: Column
    """(N, facts) what the headers say; 0 for problems."""
    problems: dict[int, str]
    """Why a sample can't be taken."""
    label_sets: list[tuple[str, ...]]
    group_names: list[str]
    time_texts: list[str]
    survey: Any = None
    """What the kind knows of all contents together."""

    def __len__(self) -> int:
        return len(self.sources)

    def name(self, i: int) -> str:
        """Where a sample came from, for people to read."""
        return self.sources[i] if self.in_files[i] or self.rows[i] == NONE else f"{self.sources[i]}:{self.rows[i]}"

    def names(self, index: Column) -> pa.Array:
        """`name` of many samples."""
        import pyarrow as pa
        import pyarrow.compute as pc

        sources = pa.array([self.sources[i] for i in index.tolist()], pa.string())
        alone = pa.array(self.in_files[index] | (self.rows[index] == NONE))
        rows = pa.array(self.rows[index]).cast(pa.string())
        return pc.if_else(alone, sources, pc.binary_join_element_wise(sources, rows, ":"))

    def good(self) -> Column:
        """Positions of the samples without a problem."""
        keep = np.ones(len(self), bool)
        keep[list(self.problems)] = False
        return np.flatnonzero(keep)


def scan(source: Source, kind: Reading, data: Any, workers: int) -> Samples:
    """Read every sample once: its content number and header. Contents of more than the kind's `max_bytes` are not read."""
    columns, max_bytes = _Columns(kind), kind.max_bytes(data)
    tasks = (capped(portion, max_bytes) for portion in source.read())
    inspect = partial(inspected, kind.inspect_batch, kind.NUM_FACTS, data)
    with Display("prepare: reading", "sample", source.num_samples) as display, crashes_explained():
        for portion, found in ordered(inspect, tasks, memory_of, workers, threads=in_threads(kind)):
            columns.add(portion, found)
            display.advance(len(portion))
    return columns.samples()


def memory_of(portion: Portion) -> int:
    """Memory that a portion takes while it is read: the contents and a copy on its way."""
    return 2 * int(portion.num_bytes.sum())


def source_digest(samples: Samples) -> str:
    """A 128-bit hex digest of what the source holds: contents, labels, given splits, groups and times, no order or
    names or places.
    """
    labels = _text_numbers("\x1f".join(label_set) for label_set in samples.label_sets)
    groups = np.r_[np.uint64(0), _text_numbers(samples.group_names)]
    columns = [samples.contents, labels[samples.labels], (samples.splits + 1).astype(np.uint64), groups[samples.groups + 1]]
    if samples.time_texts:
        columns.append(np.r_[np.uint64(0), _text_numbers(samples.time_texts)][samples.times + 1])
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
        sources = [source for task in crash.tasks for source in task.sources]
        raise DataError(
            f"{sources[0]} ... {sources[-1]}: a decoding process crashed or ran out of memory at one of these "
            f"{len(sources)} samples; move them away in halves to find which"
        ) from None


def capped(portion: Portion, max_bytes: int) -> Portion:
    """Without the contents that are too large, which lists alone may have."""
    if not isinstance(portion.contents, list):
        return portion
    over = np.flatnonzero(portion.num_bytes > max_bytes).tolist()
    large = [i for i in over if portion.contents[i] is not None]
    if not large:
        return portion
    told = {i: f"{portion.num_bytes[i]} bytes are more than any sample needs ({max_bytes})" for i in large}
    contents = [None if i in told else content for i, content in enumerate(portion.contents)]
    sizes = portion.num_bytes.copy()
    sizes[large] = 0
    return replace(portion, contents=contents, num_bytes=sizes, problems=portion.problems | told)


def inspected(inspect: Callable[..., Inspected], num_facts: int, data: Any, portion: Portion) -> Inspected:
    """What the kind finds, and the source's own problems before those."""
    judged = np.array([split not in (None, SPLITS[0]) for split in portion.splits.values], bool)[portion.splits.codes]
    judged[list(portion.problems)] = True
    if isinstance(portion.contents, list) and not any(content is not None for content in portion.contents):
        none = np.zeros(len(portion), np.uint64), np.zeros((len(portion), num_facts), np.int64)
        return Inspected(*none, dict.fromkeys(range(len(portion)), "no content") | portion.problems)
    found = inspect(portion.contents, judged, data)
    alone = portion.contents if isinstance(portion.contents, list) else []
    lacking = {i: "no content" for i, content in enumerate(alone) if content is None}
    problems = found.problems | lacking | portion.problems
    found.facts[list(problems)] = 0
    return found._replace(problems=problems)


class _Columns:
    """Columns that grow."""

    def __init__(self, kind: Reading) -> None:
        self.kind, self.survey = kind, None
        self.sources: list[str] = []
        self.in_files = array("b")
        self.contents = array("Q")
        self.rows, self.labels, self.splits, self.groups, self.times, self.facts = (array("q") for _ in range(6))
        self.problems: dict[int, str] = {}
        self.label_codes: dict[tuple[str, ...], int] = {}
        self.group_codes: dict[str | None, int] = {None: NONE}
        self.time_codes: dict[str | None, int] = {None: NONE}

    def add(self, portion: Portion, found: Inspected) -> None:
        first, files = len(self.sources), portion.contents if isinstance(portion.contents, list) else ()
        self.problems |= {first + i: said for i, said in found.problems.items()}
        self.sources += portion.sources
        self.in_files.frombytes((portion.rows == NONE).tobytes())
        for i in (i for i, content in enumerate(files) if isinstance(content, Path)):
            self.in_files[first + i] = True
        self.contents.frombytes(found.numbers.tobytes())
        self.rows.frombytes(portion.rows.tobytes())
        _add_codes(self.labels, portion.labels, self.label_codes)
        _add_codes(self.splits, portion.splits, _SPLIT_CODES)
        _add_codes(self.groups, portion.groups, self.group_codes)
        _add_codes(self.times, portion.times, self.time_codes)
        self.facts.frombytes(found.facts.tobytes())
        if found.survey is not None:
            self.survey = found.survey if self.survey is None else self.kind.merged(self.survey, found.survey)

    def samples(self) -> Samples:
        return Samples(
            sources=self.sources,
            rows=np.frombuffer(self.rows, np.int64),
            in_files=np.frombuffer(self.in_files, np.bool_),
            contents=np.frombuffer(self.contents, np.uint64),
            labels=np.frombuffer(self.labels, np.int64),
            splits=np.frombuffer(self.splits, np.int64),
            groups=np.frombuffer(self.groups, np.int64),
            times=np.frombuffer(self.times, np.int64),
            facts=np.frombuffer(self.facts, np.int64).reshape(-1, self.kind.NUM_FACTS),
            problems=self.problems,
            label_sets=list(self.label_codes),
            group_names=[name for name in self.group_codes if name is not None],
            time_texts=[text for text in self.time_codes if text is not None],
            survey=self.survey,
        )


def _add_codes(column: array[int], said: Said[Value], codes: dict[Value, int]) -> None:
    """The codes of what samples say; what none has said before gets the next one, from 0 on, and nothing NONE."""
    first = NONE if None in codes else 0
    own = [codes.setdefault(value, len(codes) + first) for value in said.values]
    column.frombytes(np.array(own, np.int64)[said.codes].tobytes())
