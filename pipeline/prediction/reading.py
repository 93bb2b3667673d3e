"""From what a user names to samples as stored, by the keys and the layout that the network was trained with; no labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.errors import DataError, StorageError
from pipeline.kinds import reading
from pipeline.kinds.keys import keys_of
from pipeline.kinds.kind import Layout
from pipeline.kinds.reading import Inspected, in_threads, reading_of
from pipeline.prepare.parallel import ordered
from pipeline.prepare.raw import NONE, Portion, Raw, Source, portion_of
from pipeline.prepare.scan import capped, crashes_explained, inspected, memory_of
from pipeline.prepare.sources.unlabelled import open_unlabelled, passed_over
from pipeline.schema.base import validated
from pipeline.schema.data import PATHS, DataConfig


class Read(NamedTuple):
    """Some samples, decoded."""

    names: list[str]
    """Of those that could be read."""
    samples: list[Any] | NDArray[Any]
    """As stored: rows (n, *shape) or, unless the layout is plain, the list of rows of each sample."""
    problems: list[tuple[str, str]]
    """Names of those that could not, and why."""


@dataclass(frozen=True)
class Reader:
    """How samples of a kind are read."""

    kind: str
    said: Mapping[str, Any]
    """The section `data` of the training, without its paths."""
    layout: Layout

    @classmethod
    def of(cls, described: Mapping[str, Any], file: Path) -> Reader:
        """By `model.json`; StorageError where it is of a version that does not say it."""
        known = described["input"]
        if not known.get("data"):
            raise StorageError(
                f"{file}: it does not say how samples are read, as older versions did not; say `dvc repro train` where it was "
                "trained, or give samples as stored"
            )
        ragged, windows = known["lengths"] is not None, known["windows"] is not None
        details = {**known["fit"], **known["details"]}
        layout = Layout(tuple(known["shape"]), np.dtype(known["dtype"]), ragged, windows, details)
        return cls(known["kind"], known["data"], layout)

    def read(self, path: Path, name: str, workers: int) -> Iterator[Read]:
        """The samples of a file or a folder, a few at a time. DataError where it can't be opened, or not read to its end."""
        kind, data = reading_of(self.kind), self.data(path)
        source = open_unlabelled(path, data)
        work = partial(_decoded, kind.inspect_batch, kind.decode_batch, kind.NUM_FACTS, data, self.layout)
        tasks = _tasks(source, kind.max_bytes(data))
        with crashes_explained():
            for portion, (good, samples, problems) in ordered(work, tasks, memory_of, workers, threads=in_threads(kind)):
                names = _names(portion, name, path.is_dir())
                told = [(names[i], said) for i, said in sorted(problems.items())]
                yield Read([names[i] for i in good], samples, told)

    def passed_over(self, path: Path, name: str) -> list[str]:
        """The files of a folder that are of another kind, which `read` leaves out."""
        return [f"{name}/{one}" for one in passed_over(path, self.data(path))]

    def in_memory(self, name: str, content: bytes) -> Read:
        """One sample that somebody has sent: what it names, as a list of images does, is never opened."""
        if not content:
            return Read([], [], [(name, "empty file")])
        kind, data = reading_of(self.kind), self.data()
        portion = capped(portion_of([Raw(name, None, (), content, len(content))]), kind.max_bytes(data))
        good, samples, problems = _decoded(kind.inspect_batch, kind.decode_batch, kind.NUM_FACTS, data, self.layout, portion)
        return Read([name] * len(good), samples, [(name, said) for said in problems.values()])

    def holds_more(self, path: Path, most: int) -> bool:
        """Whether a file holds more samples than these, without decoding one. DataError as `read`."""
        total = 0
        for portion in open_unlabelled(path, self.data(path)).read():
            total += len(portion)
            if total > most:
                return True
        return False

    def limits(self) -> dict[str, int | float]:
        """What a sample may have at most, by the keys that say so, and how many bytes are read of one."""
        data = self.data()
        told = {key: value for key, value in data.model_dump().items() if key.startswith("max_")}
        return {"sample_bytes": reading_of(self.kind).max_bytes(data), **told}

    def data(self, path: Path | None = None) -> DataConfig:
        """The keys of the training; where samples lie, and what is said beside them, is no matter of it."""
        beside = ("label_strip", "separator", "exclusive", "split", "group", "time", "class_level")
        places = {**dict.fromkeys(PATHS), "path": path and str(path)}
        source = {} if self.said["source"] == "table" else {"source": "auto"}
        return validated(keys_of(self.kind).DATA, {**self.said, **dict.fromkeys(beside), **places, **source}, "data")


def _tasks(source: Source, max_bytes: int) -> Iterator[Portion]:
    return (capped(portion, max_bytes) for portion in source.read())


def _names(portion: Portion, name: str, in_folder: bool) -> list[str]:
    """For people to read: of a folder its own name before a file's, of a table its name before the row's number."""
    sources = [f"{name}/{source}" if in_folder else name for source in portion.sources]
    rows = zip(sources, portion.rows.tolist(), strict=True)
    return [source if row == NONE else f"{source}:{row}" for source, row in rows]


Inspect = Callable[..., Inspected]
Decode = Callable[..., reading.Decoded]


def _decoded(
    inspect: Inspect, decode: Decode, num_facts: int, data: Any, layout: Layout, portion: Portion
) -> tuple[list[int], Any, dict[int, str]]:
    """Places of the samples that can be read, these as stored, and why the others can't."""
    found = inspected(inspect, num_facts, data, portion)
    problems = dict(found.problems)
    readable = np.flatnonzero(~np.isin(np.arange(len(portion)), list(problems)))
    rows, told = _rows(decode, portion.taken(readable), found.numbers[readable], data, layout)
    problems |= {int(readable[i]): said for i, said in told.items()}
    kept = [i for i in range(len(readable)) if i not in told]
    samples = rows[kept] if isinstance(rows, np.ndarray) else [rows[i] for i in kept]
    return readable[kept].tolist(), samples, problems


def _rows(
    decode: Decode, portion: Portion, numbers: keyed.U64, data: Any, layout: Layout
) -> tuple[NDArray[Any] | list[list[NDArray[Any]]], dict[int, str]]:
    if not len(portion):
        return [], {}
    found = decode(portion.contents, numbers, data, layout)
    if found.changed is not None:
        raise DataError(f"{portion.sources[found.changed]}: changed while it was being read; repeat the command")
    if isinstance(found.rows, np.ndarray):
        return found.rows, found.problems
    empty = [i for i, own in enumerate(found.rows) if min(map(np.size, own), default=0) == 0]
    return found.rows, {**dict.fromkeys(empty, "it has no items"), **found.problems}
