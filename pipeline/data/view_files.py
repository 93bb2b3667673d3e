"""Stored views: views 0..V-1 of every training row, one memory-mappable array per view number, of ragged rows with offsets."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.artifacts import offsets_path, storage_errors, view_path
from pipeline.data.batches import Inputs
from pipeline.data.dataset import Dataset, Stored
from pipeline.errors import StorageError
from pipeline.keyed import U64
from pipeline.kinds.kind import Fit
from pipeline.kinds.ragged import Ragged
from pipeline.kinds.views import views_of
from pipeline.progress import Display
from pipeline.schema.augment import AugmentConfig

HEADER_BYTES = 128
BATCH_BYTES, CUDA_BATCH_BYTES = 2**26, 2**30
"""Most bytes of rows read at once for a CPU and for a GPU."""
CUDA_COPIES = 64
"""Bytes of GPU memory that a byte of a row may take: of an image some sixteen float32 copies (it, maps, colour, noise)."""


def stored_bytes(rows: Stored, views: int) -> int:
    """Bytes on disk of `views` views of rows, as if those of ragged ones kept their lengths."""
    headers = HEADER_BYTES * (1 if rows.offsets is None else 2)
    return views * (headers + rows.nbytes)


def check_space(folder: Path, rows: Stored, views: int) -> None:
    """StorageError where the views do not fit on the folder's disk."""
    needed, existing = stored_bytes(rows, views), next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise StorageError(
            f"{folder}: {views} copies of {len(rows):,} samples need {needed:,} bytes ({needed / 1e9:.1f} GB), {free:,} bytes"
            f" ({free / 1e9:.1f} GB) are free; make room, lower augment.views, or set it to 0 (drawn while training)"
        )


def write_views(rows: Stored, ids: U64, policy: AugmentConfig, fit: Fit, folder: Path, device: torch.device) -> None:
    """Write `policy.views` files, of ragged rows twice as many. ids: of each row.

    Batches are sized to the memory, which changes no bit.
    """
    batch_views, ragged = views_of(policy.kind).batch_views, rows.offsets is not None
    source = Inputs([rows], device, resident=False)
    lengths: list[list[NDArray[np.int64]]] = [[] for _ in range(policy.views)]
    with storage_errors(folder), ExitStack() as stack:
        files = [stack.enter_context(view_path(folder, view).open("wb")) for view in range(policy.views)]
        for file in files:
            _write_header(file, rows, len(rows.values))
        for start, end in _batches(len(rows), _batch_size(rows, device), policy.views):
            batch = source.take(np.arange(start, end))
            for view, file in enumerate(files):
                drawn = batch_views(batch, ids[start:end], np.full(len(batch), view), policy, fit)
                file.write((drawn.items if isinstance(drawn, Ragged) else drawn).cpu().numpy().data)
                lengths[view] += [drawn.lengths.numpy()] if isinstance(drawn, Ragged) else []
        for view, file in enumerate(files if ragged else []):
            offsets = np.cumsum(np.concatenate([[0], *lengths[view]]), dtype=np.int64)
            np.save(offsets_path(folder, view), offsets, allow_pickle=False)
            file.seek(0)
            _write_header(file, rows, int(offsets[-1]))  # as long as the first one: numpy leaves room for any number


def drawn_copies(dataset: Dataset, policy: AugmentConfig, samples: NDArray[np.int64], num: int) -> list[list[NDArray[Any]]]:
    """Of each of some training samples its first row as stored, and views 0 to num - 1 of it."""
    train, fit = dataset.split("train"), dataset.manifest.fit
    first = train.first_rows[samples]
    stored, ids = Inputs([train.stored], torch.device("cpu"), resident=False).take(first), train.row_ids(samples, first)
    views = [views_of(policy.kind).batch_views(stored, ids, np.full(len(ids), v), policy, fit) for v in range(num)]
    arrays = [each.rows() if isinstance(each, Ragged) else list(each) for each in (stored, *views)]
    return [[row.numpy() for row in rows] for rows in zip(*arrays, strict=True)]


def _write_header(file: IO[bytes], rows: Stored, num: int) -> None:
    shape = (num, *rows.values.shape[1:])
    header = {"descr": np.lib.format.dtype_to_descr(rows.values.dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _batch_size(rows: Stored, device: torch.device) -> int:
    row_bytes = max(1, rows.nbytes // max(1, len(rows)))
    room = BATCH_BYTES
    if device.type == "cuda":
        room = min(torch.cuda.mem_get_info(device)[0] // CUDA_COPIES, CUDA_BATCH_BYTES)
    return max(1, room // row_bytes)


def _batches(num: int, size: int, views: int) -> Iterator[tuple[int, int]]:
    """Starts and ends of the batches of samples, shown as they are done."""
    with Display("augment", "sample", num * views) as display:
        for start in range(0, num, size):
            end = min(start + size, num)
            yield start, end
            display.advance((end - start) * views)
