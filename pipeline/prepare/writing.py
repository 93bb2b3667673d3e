"""The second pass and what it leaves: contents decoded once, then gathered into the stored order of each split.

Decoded samples first go, in the source's order, to a scratch file as large as the dataset: only when all have been decoded
is it known which ones there are, and so where each belongs. Little is held in memory meanwhile.
Knows nothing of kinds: `Reading` does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.artifacts import storage_errors
from pipeline.errors import DataError
from pipeline.kinds import reading
from pipeline.kinds.kind import Layout
from pipeline.kinds.reading import Reading
from pipeline.prepare.parallel import ordered
from pipeline.prepare.raw import Column, Portion, Said, Source
from pipeline.prepare.scan import Samples, crashes_explained
from pipeline.progress import Display

GATHER_BYTES = 8 * 2**20
TABLE_ROWS = 2**17
RAGGED_ROWS = 1024


@dataclass(frozen=True)
class Undecoded:
    """Contents to decode, of which each has its own row of the scratch file."""

    row: int
    """Of the first; the others follow."""
    portion: Portion
    numbers: keyed.U64
    """The contents' numbers when they were scanned."""
    decode_bytes: Column

    def __len__(self) -> int:
        return len(self.portion)

    @property
    def sources(self) -> Said[str]:
        """Where they come from."""
        return self.portion.sources


@dataclass(frozen=True)
class Decoded:
    """The scratch file: what each distinct content holds, one after the other."""

    values: NDArray[Any]
    """(R, *shape) rows or, where they are ragged, their items; memory-mapped."""
    row_of: Column
    """(N,) the number of each sample's content, or -1."""
    problems: dict[int, str]
    """By sample: why its content can't be decoded."""
    lengths: list[Column]
    """By content, unless the layout is plain: the number of items of each of its rows (1 where rows are not ragged)."""

    def starts(self) -> Column:
        """(contents + 1,) where each content begins in `values`."""
        return np.cumsum([0, *(int(own.sum()) for own in self.lengths)])

    def lengths_of(self, samples: Column) -> Column:
        """The items of all rows of some samples."""
        return np.concatenate([self.lengths[i] for i in self.row_of[samples].tolist()])

    def num_rows_of(self, samples: Column) -> Column:
        """The rows of each of some samples."""
        return np.array([len(self.lengths[i]) for i in self.row_of[samples].tolist()])


def spread(numbers: Column) -> list[int]:
    """The least, the (lower) median and the largest of some numbers."""
    ranked = np.sort(numbers)
    return [int(ranked[i]) for i in (0, (len(ranked) - 1) // 2, -1)]


def decoded(
    source: Source, samples: Samples, chosen: Column, kind: Reading, data: Any, layout: Layout, path: Path, workers: int
) -> Decoded:
    """Decode the contents of the chosen samples, each content once, into a scratch file at `path`."""
    _, first, inverse = np.unique(samples.contents[chosen], return_index=True, return_inverse=True)
    readers = np.sort(chosen[first])  # the samples whose content is decoded, in the order in which the source gives them
    row_of = np.full(len(samples), -1, np.int64)
    row_of[chosen] = np.searchsorted(readers, chosen[first])[inverse]
    bad: dict[int, str] = {}
    lengths: list[Column] = []
    with storage_errors(path):
        path.touch()
        if layout.is_plain:
            os.truncate(path, len(readers) * layout.num_bytes)
    work = partial(_decode_to if layout.is_plain else _decoded_rows, path, kind.decode_batch, data, layout)
    shown = Display("prepare: decoding", "sample", len(readers))
    with shown as display, crashes_explained(), path.open("ab") as file:
        tasks = _undecoded(source, samples, readers)
        for task, (problems, rows) in ordered(work, tasks, _weight, workers, threads=reading.in_threads(kind)):
            bad.update(problems)
            lengths += _appended(file, rows, layout)
            display.advance(len(task))
    num = len(readers) if layout.is_plain else sum(int(own.sum()) for own in lengths)
    shape = (num, *layout.shape)
    values = np.memmap(path, layout.dtype, "r", shape=shape) if num else np.empty(shape, layout.dtype)
    failed = chosen[np.isin(row_of[chosen], list(bad))]
    return Decoded(values, row_of, {int(i): bad[int(row_of[i])] for i in failed}, lengths)


def _appended(file: BinaryIO, rows: Rows, layout: Layout) -> Iterator[Column]:
    """Write the rows of contents one after the other; by content the items of each row."""
    with storage_errors(Path(file.name)):
        for own in rows:
            for row in own:
                file.write(row.tobytes())
            yield np.array([len(row) if layout.ragged else 1 for row in own], np.int64)


def _undecoded(source: Source, samples: Samples, readers: Column) -> Iterator[Undecoded]:
    """The readers' contents, in the source's order, in portions that are handy by what decoding takes."""
    row, place = 0, 0
    for portion in source.read():
        if row == len(readers):
            return
        last = int(np.searchsorted(readers, place + len(portion)))
        yield from _handy(portion, samples, range(row, last), readers[row:last], place)
        row, place = last, place + len(portion)
    if row < len(readers):
        raise DataError(f"{samples.name(int(readers[row]))}: {_CHANGED}")


def _handy(portion: Portion, samples: Samples, rows: range, readers: Column, first: int) -> Iterator[Undecoded]:
    """The readers among a portion's samples, which go to these rows; `first`: the portion's place among all samples."""
    numbers, decode_bytes = samples.contents[readers], samples.facts[readers, -1]
    chosen = portion if len(readers) == len(portion) else portion.taken(readers - first)
    if isinstance(chosen.contents, list) and None in [content if content is None else 0 for content in chosen.contents]:
        raise DataError(f"{chosen.sources[0]}: {_CHANGED}")
    weights = (chosen.num_bytes + decode_bytes // 16).tolist()
    for part in chosen.parts(weights):
        own = chosen if len(part) == len(chosen) else chosen.taken(np.arange(part.start, part.stop))
        yield Undecoded(rows[part.start], own, numbers[part.start : part.stop], decode_bytes[part.start : part.stop])


_CHANGED = "changed while the data was being read; wait until nothing writes to it, then repeat"


def _weight(task: Undecoded) -> int:
    return 2 * int(task.portion.num_bytes.sum()) + int(task.decode_bytes.max())


Rows = list[list[NDArray[Any]]]
"""By content its rows; none where it can't be decoded."""
Decode = Callable[..., "reading.Decoded"]


def _decode_to(path: Path, decode: Decode, data: Any, layout: Layout, task: Undecoded) -> tuple[dict[int, str], Rows]:
    """Decode and write; by row, why a content can't be decoded."""
    found = _checked(decode, data, layout, task)
    assert isinstance(found.rows, np.ndarray), "a plain layout has one row a sample"
    assert (found.rows.shape, found.rows.dtype) == ((len(task), *layout.shape), layout.dtype)
    with storage_errors(path), path.open("r+b") as file:
        os.pwrite(file.fileno(), found.rows.tobytes(), task.row * layout.num_bytes)
    return {task.row + i: said for i, said in found.problems.items()}, []


def _decoded_rows(path: Path, decode: Decode, data: Any, layout: Layout, task: Undecoded) -> tuple[dict[int, str], Rows]:
    """Decode, and leave the writing to who knows where; by row, why a content can't be decoded."""
    found = _checked(decode, data, layout, task)
    assert isinstance(found.rows, list), "where samples own rows, or items, they come as lists"
    empty = [i for i, own in enumerate(found.rows) if min(map(np.size, own), default=0) == 0]
    problems = {**dict.fromkeys(empty, "it has no items"), **found.problems}
    rows: Rows = [[] if i in problems else own for i, own in enumerate(found.rows)]
    for row in (row for own in rows for row in own):
        assert (row.shape[1:] if layout.ragged else row.shape, row.dtype) == (layout.shape, layout.dtype)
    return {task.row + i: said for i, said in problems.items()}, rows


def _checked(decode: Decode, data: Any, layout: Layout, task: Undecoded) -> reading.Decoded:
    found = decode(task.portion.contents, task.numbers, data, layout)
    if found.changed is not None:
        raise DataError(f"{task.sources[found.changed]}: {_CHANGED}")
    return found


def portions(decoded: Decoded, order: Column, layout: Layout) -> Iterator[NDArray[Any]]:
    """The samples `order` (N,), one after the other, in handy portions of rows or, where rows are ragged, of items."""
    step = max(1, GATHER_BYTES // layout.num_bytes)
    own = decoded.row_of[order]
    if layout.is_plain:
        yield from (decoded.values[own[at : at + step]] for at in range(0, len(order), step))
        return
    starts = decoded.starts()
    for first, last in zip(starts[own].tolist(), starts[own + 1].tolist(), strict=True):
        yield from (decoded.values[at : min(at + step, last)] for at in range(first, last, step))


def ragged_portions(decoded: Decoded, order: Column, size: int = RAGGED_ROWS) -> Iterator[list[NDArray[Any]]]:
    """Ragged rows of samples that own one each, so many at a time."""
    starts, own = decoded.starts(), decoded.row_of[order]
    for at in range(0, len(own), size):
        places = own[at : at + size].tolist()
        yield [decoded.values[starts[i] : starts[i + 1]] for i in places]


def write_inputs(folder: Path, decoded: Decoded, order: Column, layout: Layout) -> None:
    """Write the samples `order` (N,) as one array; beside it, unless the layout is plain, whose rows and items they are."""
    lengths = [decoded.lengths[i] for i in decoded.row_of[order].tolist()] if not layout.is_plain else []
    num = len(order) if layout.is_plain else sum(int(own.sum()) for own in lengths)
    path = folder / "inputs.npy"
    with storage_errors(path), path.open("wb") as file:
        _write_header(file, (num, *layout.shape), layout.dtype)
        for values in portions(decoded, order, layout):
            file.write(values.tobytes())
    if layout.windows:
        write_array(folder / "rows.npy", np.cumsum([0, *map(len, lengths)], dtype=np.int64))
    if layout.ragged:
        write_array(folder / "offsets.npy", np.cumsum(np.concatenate([[0], *lengths]), dtype=np.int64))


def write_array(path: Path, array: NDArray[Any]) -> None:
    with storage_errors(path):
        np.save(path, array, allow_pickle=False)


def write_samples(path: Path, ids: keyed.U64, samples: Samples, index: Column) -> None:
    """Write the table that says where each stored sample came from."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema({"id": pa.uint64(), "source": pa.string()})
    with storage_errors(path), pq.ParquetWriter(path, schema) as writer:
        for at in range(0, max(len(index), 1), TABLE_ROWS):
            names = samples.names(index[at : at + TABLE_ROWS])
            writer.write_table(pa.table([pa.array(ids[at : at + TABLE_ROWS]), names], schema))


def _write_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
