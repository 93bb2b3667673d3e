"""Stored views: views 0..V-1 of every training sample, one memory-mappable array (N, *shape) per view number."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.artifacts import storage_errors, view_path
from pipeline.errors import StorageError
from pipeline.keyed import U64
from pipeline.kinds.kind import Fit
from pipeline.kinds.views import views_of
from pipeline.progress import Display
from pipeline.schema.augment import AugmentConfig

HEADER_BYTES = 128
BATCH_BYTES, CUDA_BATCH_BYTES = 2**26, 2**30
"""Most bytes of rows read at once for a CPU and for a GPU."""
CUDA_COPIES = 64
"""Bytes of GPU memory that a byte of a row may take: of an image some sixteen float32 copies (it, maps, colour, noise)."""


def stored_bytes(inputs: NDArray[Any], views: int) -> int:
    """Bytes on disk of `views` views of inputs (N, *shape)."""
    return views * (HEADER_BYTES + inputs.nbytes)


def check_space(folder: Path, inputs: NDArray[Any], views: int) -> None:
    """StorageError where the views do not fit on the folder's disk."""
    needed, existing = stored_bytes(inputs, views), next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise StorageError(
            f"{folder}: {views} copies of {len(inputs):,} samples need {needed:,} bytes ({needed / 1e9:.1f} GB), {free:,} bytes"
            f" ({free / 1e9:.1f} GB) are free; make room, lower augment.views, or set it to 0 (drawn while training)"
        )


def write_views(inputs: NDArray[Any], ids: U64, policy: AugmentConfig, fit: Fit, folder: Path, device: torch.device) -> None:
    """Write `policy.views` files. Batches are sized to the memory, which changes no bit."""
    batch_views = views_of(policy.kind).batch_views
    with storage_errors(folder), ExitStack() as stack:
        files = [stack.enter_context(view_path(folder, view).open("wb")) for view in range(policy.views)]
        for file in files:
            _write_header(file, inputs)
        for start, end in _batches(len(ids), _batch_size(inputs, device), policy.views):
            rows = torch.from_numpy(np.array(inputs[start:end])).to(device)
            for view, file in enumerate(files):
                drawn = batch_views(rows, ids[start:end], np.full(len(rows), view), policy, fit)
                file.write(drawn.cpu().numpy().data)


def _write_header(file: IO[bytes], inputs: NDArray[Any]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(inputs.dtype), "fortran_order": False, "shape": inputs.shape}
    np.lib.format.write_array_header_1_0(file, header)


def _batch_size(inputs: NDArray[Any], device: torch.device) -> int:
    sample_bytes = max(1, inputs.nbytes // max(1, len(inputs)))
    room = BATCH_BYTES
    if device.type == "cuda":
        room = min(torch.cuda.mem_get_info(device)[0] // CUDA_COPIES, CUDA_BATCH_BYTES)
    return max(1, room // sample_bytes)


def _batches(num: int, size: int, views: int) -> Iterator[tuple[int, int]]:
    """Starts and ends of the batches of samples, shown as they are done."""
    with Display("augment", "sample", num * views) as display:
        for start in range(0, num, size):
            end = min(start + size, num)
            yield start, end
            display.advance((end - start) * views)
