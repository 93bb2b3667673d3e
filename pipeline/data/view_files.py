"""Stored views: views 0..V-1 of every training sample, one memory-mappable array of (N, C, H, W) uint8 per view number."""

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
from pipeline.kinds.image.views import batch_views
from pipeline.progress import Display
from pipeline.schema.augment import AugmentConfig

HEADER_BYTES = 128
BATCH_BYTES, CUDA_BATCH_BYTES = 2**26, 2**30
"""Most bytes of images read at once for a CPU and for a GPU."""
CUDA_COPIES = 64
"""Bytes of GPU memory that a byte of image may take: some sixteen float32 copies (image, maps, colour, noise)."""


def stored_bytes(shape: tuple[int, ...], views: int) -> int:
    """Bytes on disk of `views` views of inputs (N, C, H, W)."""
    return views * (HEADER_BYTES + int(np.prod(shape, dtype=np.int64)))


def check_space(folder: Path, shape: tuple[int, ...], views: int) -> None:
    """StorageError where the views do not fit on the folder's disk."""
    needed, existing = stored_bytes(shape, views), next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise StorageError(
            f"{folder}: {views} copies of {shape[0]:,} images need {needed:,} bytes ({needed / 1e9:.1f} GB), {free:,} bytes"
            f" ({free / 1e9:.1f} GB) are free; make room, lower augment.views, or set it to 0 (drawn while training)"
        )


def write_views(inputs: NDArray[np.uint8], ids: U64, policy: AugmentConfig, folder: Path, device: torch.device) -> None:
    """Write `policy.views` files. Batches are sized to the memory, which changes no pixel."""
    with storage_errors(folder), ExitStack() as stack:
        files = [stack.enter_context(view_path(folder, view).open("wb")) for view in range(policy.views)]
        for file in files:
            _write_header(file, inputs.shape)
        for start, end in _batches(len(ids), _batch_size(inputs, device), policy.views):
            images = torch.from_numpy(np.array(inputs[start:end])).to(device)
            for view, file in enumerate(files):
                drawn = batch_views(images, ids[start:end], np.full(len(images), view), policy)
                file.write(drawn.cpu().numpy().data)


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _batch_size(inputs: NDArray[Any], device: torch.device) -> int:
    sample_bytes = max(1, int(np.prod(inputs.shape[1:])))
    room = BATCH_BYTES
    if device.type == "cuda":
        room = min(torch.cuda.mem_get_info(device)[0] // CUDA_COPIES, CUDA_BATCH_BYTES)
    return max(1, room // sample_bytes)


def _batches(num: int, size: int, views: int) -> Iterator[tuple[int, int]]:
    """Starts and ends of the batches of samples, shown as they are done."""
    with Display("augment", "image", num * views) as display:
        for start in range(0, num, size):
            end = min(start + size, num)
            yield start, end
            display.advance((end - start) * views)
