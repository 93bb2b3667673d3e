"""`prepare` on CIFAR-10's two Parquet files (60,000 lossless WebP images of 32 x 32), against a plain loop over Pillow.

    python -m benchmarks.prepare_cifar [FOLDER]     # of cifar10_train.parquet and cifar10_test.parquet

The loop decodes in one thread and keeps the arrays: no identity, no checks, no splits, no files. Aim: at most 60 s on 2
cores and 1 GB of memory beyond the mapped output.
"""

from __future__ import annotations

import io
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.harness import peak_anonymous_bytes, ratio, seconds_in_turn, write_row
from pipeline.kinds.image.keys import ImageData
from pipeline.prepare.build import build_dataset
from pipeline.schema.prepare import PrepareConfig

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"
NUM_IMAGES, ROUNDS = 60_000, 5


def prepare(folder: Path) -> None:
    """All of `prepare`, into a temporary folder."""
    data = ImageData(
        source="parquet",
        path=None,
        train_path=str(folder / "cifar10_train.parquet"),
        val_path=None,
        synonyms=None,
        test_path=str(folder / "cifar10_test.parquet"),
        size=None,
        resize="pad",
        enlarge=True,
        bits=None,
        channels="auto",
        kind="image",
        max_pixels=64_000_000,
        image="image",
        label="label",
        label_strip=None,
        decimal=None,
        target="auto",
        separator=None,
        exclusive=None,
        split=None,
        group=None,
        time=None,
        day_first=None,
        class_level=None,
        files=None,
    )
    keys = PrepareConfig(
        val_fraction=0.1, test_fraction=0.1, split_seed=0, max_bad_fraction=0.0, alike="tell", limit=None, fold=None
    )
    out = Path(tempfile.mkdtemp(prefix="prepare-cifar-"))
    try:
        manifest = build_dataset(data, keys, out, "benchmark")
        assert sum(manifest.counts.values()) == NUM_IMAGES
    finally:
        shutil.rmtree(out)


def plain_loop(folder: Path) -> None:
    """The test file's 10,000 images, one after the other."""
    images = []
    for batch in pq.ParquetFile(folder / "cifar10_test.parquet").iter_batches(1024, columns=["image"]):
        for content in batch["image"].field("bytes").to_pylist():
            images.append(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))
    assert np.stack(images).shape == (NUM_IMAGES // 6, 32, 32, 3)


def main() -> None:
    """Measure and write the row."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    peak = peak_anonymous_bytes(prepare, folder)
    seconds = seconds_in_turn({"ours": lambda: prepare(folder), "loop": lambda: plain_loop(folder)}, ROUNDS)
    loop = [6 * took for took in seconds["loop"]]  # of a sixth of the images
    ours = {
        "seconds": statistics.median(seconds["ours"]),
        "min_s": min(seconds["ours"]),
        "max_s": max(seconds["ours"]),
        "images_per_s": NUM_IMAGES / statistics.median(seconds["ours"]),
        "peak_mb_beyond_output": round(peak / 2**20, 1),
    }
    write_row("prepare_cifar", ours, {"plain Pillow loop": ratio(seconds["ours"], loop)}, aim={"seconds": 60, "peak_mb": 1024})


if __name__ == "__main__":
    main()
