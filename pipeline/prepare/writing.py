"""The second pass and what it leaves: contents decoded once, then gathered into the stored order of each split.

Decoded samples first go, in the source's order, to a scratch file as large as the dataset: only when all have been decoded
is it known which ones there are, and so where each belongs. Little is held in memory meanwhile.
Knows nothing of images: `Decode` does.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.artifacts import storage_errors
from pipeline.errors import DataError
from pipeline.kinds.kind import BadSampleError, Content, loaded
from pipeline.prepare.parallel import ordered
from pipeline.prepare.raw import Source
from pipeline.prepare.scan import Column, Samples, chunks, content_number, crashes_explained
from pipeline.progress import Display

Decode = Callable[[Content], NDArray[Any]]
"""A content as an array of the dataset's shape and dtype; BadSampleError where it is damaged."""
GATHER_BYTES = 8 * 2**20
TABLE_ROWS = 2**17


@dataclass(frozen=True)
class Layout:
    """What every decoded sample is."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def num_bytes(self) -> int:
        """Of one sample."""
        return math.prod(self.shape) * self.dtype.itemsize


class Job(NamedTuple):
    """One content to decode, and the row of the scratch file that it goes to."""

    row: int
    content: Content
    number: int
    """The content's number when it was scanned."""
    num_bytes: int
    decode_bytes: int
    source: str


@dataclass(frozen=True)
class Decoded:
    """The scratch file: one row per distinct content."""

    rows: NDArray[Any]
    """(R, *shape), memory-mapped."""
    row_of: Column
    """(N,) the row of each sample's content, or -1."""
    problems: dict[int, str]
    """By sample: why its content can't be decoded."""


def decoded(
    source: Source, samples: Samples, chosen: Column, decode: Decode, layout: Layout, path: Path, workers: int
) -> Decoded:
    """Decode the contents of the chosen samples, each content once, into a scratch file at `path`."""
    _, first, inverse = np.unique(samples.contents[chosen], return_index=True, return_inverse=True)
    readers = np.sort(chosen[first])  # the samples whose content is decoded, in the order in which the source gives them
    row_of = np.full(len(samples), -1, np.int64)
    row_of[chosen] = np.searchsorted(readers, chosen[first])[inverse]
    bad: dict[int, str] = {}
    with storage_errors(path):
        path.touch()
        os.truncate(path, len(readers) * layout.num_bytes)
    tasks = chunks(_jobs(source, samples, readers), lambda job: job.num_bytes + job.decode_bytes // 16)
    with Display("prepare: decoding", "sample", len(readers)) as display, crashes_explained():
        for task, problems in ordered(partial(_decode_to, path, decode, layout), tasks, _weight, workers):
            bad.update(problems)
            display.advance(len(task))
    rows = np.memmap(path, layout.dtype, "r", shape=(len(readers), *layout.shape))
    failed = chosen[np.isin(row_of[chosen], list(bad))]
    return Decoded(rows, row_of, {int(i): bad[int(row_of[i])] for i in failed})


def _jobs(source: Source, samples: Samples, readers: Column) -> Iterator[Job]:
    row = 0
    for i, raw in enumerate(source.read()):
        if row == len(readers):
            return
        if i == readers[row]:
            if raw.content is None:
                raise DataError(f"{raw.source}: {_CHANGED}")
            yield Job(row, raw.content, int(samples.contents[i]), raw.num_bytes, int(samples.facts[i, -1]), raw.source)
            row += 1
    if row < len(readers):
        raise DataError(f"{samples.name(int(readers[row]))}: {_CHANGED}")


_CHANGED = "changed while the data was being read; wait until nothing writes to it, then repeat"


def _weight(task: list[Job]) -> int:
    return 2 * sum(job.num_bytes for job in task) + max(job.decode_bytes for job in task)


def _decode_to(path: Path, decode: Decode, layout: Layout, task: list[Job]) -> dict[int, str]:
    """Decode and write; by row, why a content can't be decoded."""
    problems: dict[int, str] = {}
    with storage_errors(path), path.open("r+b") as file:
        for job in task:
            try:
                content = loaded(job.content)
                if content_number(content) != job.number:
                    raise DataError(f"{job.source}: {_CHANGED}")
                values = decode(content)
            except BadSampleError as bad:
                problems[job.row] = str(bad)
                continue
            assert (values.shape, values.dtype) == (layout.shape, layout.dtype)
            os.pwrite(file.fileno(), values.tobytes(), job.row * layout.num_bytes)
    return problems


def write_inputs(path: Path, decoded: Decoded, order: Column, layout: Layout) -> tuple[list[int], list[int]]:
    """Write the samples `order` (N,) as one array; returns the sums and sums of squares of each channel, exactly."""
    num_channels = layout.shape[0]
    sums, squares = [0] * num_channels, [0] * num_channels
    step = max(1, GATHER_BYTES // layout.num_bytes)
    with storage_errors(path), path.open("wb") as file:
        _write_header(file, (len(order), *layout.shape), layout.dtype)
        for at in range(0, len(order), step):
            values = decoded.rows[decoded.row_of[order[at : at + step]]]
            file.write(values.tobytes())
            flat = np.moveaxis(values, 1, 0).reshape(num_channels, -1)
            sums = [a + int(b) for a, b in zip(sums, flat.sum(1, dtype=np.uint64), strict=True)]
            squares = [
                a + int(b) for a, b in zip(squares, np.square(flat, dtype=np.uint16).sum(1, dtype=np.uint64), strict=True)
            ]
    return sums, squares


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
            names = [samples.name(i) for i in index[at : at + TABLE_ROWS].tolist()]
            writer.write_table(pa.table([pa.array(ids[at : at + TABLE_ROWS]), pa.array(names, pa.string())], schema))


def mean_and_std(sums: list[int], squares: list[int], num: int, scale: int) -> tuple[list[float], list[float]]:
    """Per channel from exact sums over `num` values: the mean and the population's standard deviation, divided by `scale`."""
    means = [Fraction(total, num) for total in sums]
    variances = [Fraction(square, num) - mean * mean for square, mean in zip(squares, means, strict=True)]
    return [float(mean / scale) for mean in means], [math.sqrt(variance) / scale for variance in variances]


def _write_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
