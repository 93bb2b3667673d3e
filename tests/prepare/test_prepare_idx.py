from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.dataset import Dataset
from pipeline.errors import DataError

Build = Callable[..., Dataset]


def idx(values: np.ndarray[Any, Any]) -> bytes:
    return struct.pack(f">BBBB{values.ndim}i", 0, 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


def images(num: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (num, 5, 4), np.uint8)


def write_pair(folder: Path, split: str, num: int, mark: str = "-", gz: bool = False, prefix: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.arange(num) % 3
    for kind, values in ((f"images{mark}idx3", images(num, len(split))), (f"labels{mark}idx1", labels)):
        content = idx(values)
        name = f"{prefix}{split}-{kind}-ubyte{'.gz' if gz else ''}"
        (folder / name).write_bytes(gzip.compress(content) if gz else content)


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize("prefix", ["", "emnist-letters-"])
def test_the_usual_names(tmp_path: Path, build: Build, gz: bool, mark: str, prefix: str) -> None:
    write_pair(tmp_path, "train", 90, mark, gz, prefix)
    write_pair(tmp_path, "t10k", 12, mark, gz, prefix)
    dataset = build("idx", path=str(tmp_path))
    assert dataset.manifest.classes == ["0", "1", "2"]
    assert dataset.manifest.shape == [1, 5, 4]
    assert dataset.manifest.counts["test"] == 12
    part = dataset.split("test")
    rows = [int(name.rpartition(":")[2]) for name in dataset.sources("test")]
    assert (part.inputs[:, 0] == images(12, 4)[rows]).all()
    assert (part.labels == np.array(rows) % 3).all()


def test_training_files_alone_are_cut(tmp_path: Path, build: Build) -> None:
    write_pair(tmp_path, "train", 90)
    alone = build("idx", path=str(tmp_path))
    assert all(alone.manifest.counts.values())
    one_file = build("idx", path=str(tmp_path / "train-images-idx3-ubyte"))
    assert one_file.manifest == alone.manifest
    write_pair(tmp_path / "test", "t10k", 12)
    given = build("idx", train_path=str(tmp_path), test_path=str(tmp_path / "test"))
    assert given.manifest.counts["test"] == 12


def test_a_compressed_copy_is_not_read_twice(tmp_path: Path, build: Build) -> None:
    write_pair(tmp_path, "train", 90)
    write_pair(tmp_path, "train", 90, gz=True)
    assert build("idx", path=str(tmp_path)).manifest.num_read == 90


def test_content_decides_whether_it_is_compressed(tmp_path: Path, build: Build) -> None:
    write_pair(tmp_path, "train", 90, gz=True)
    for file in list(tmp_path.iterdir()):
        file.rename(file.with_suffix(""))
    assert build("idx", path=str(tmp_path)).manifest.num_read == 90


def test_files_that_are_not_whole(tmp_path: Path, build: Build) -> None:
    write_pair(tmp_path, "train", 90)
    file = tmp_path / "train-images-idx3-ubyte"
    content = file.read_bytes()
    for damaged, message in (
        (content[:-1], "shorter than its header says"),
        (content + b"x", "longer than its header says"),
        (content[:3], "shorter than its header says"),
        (b"\0\0\x0d\x03" + content[4:], "not an IDX file of bytes in 3 or 4 dimensions"),
        (content[:4] + struct.pack(">i", 91) + content[8:], "91 images, but train-labels-idx1-ubyte has 90 labels"),
        (content[:8] + struct.pack(">ii", 2**30, 2**30) + content[16:], "its header says images of 1073741824 x 1073741824"),
    ):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=message):
            build("idx", path=str(tmp_path))
    file.write_bytes(gzip.compress(content)[:-20])
    with pytest.raises(DataError, match="damaged"):
        build("idx", path=str(tmp_path))


def test_missing_files(tmp_path: Path, build: Build) -> None:
    with pytest.raises(DataError, match="no train-images-idx3-ubyte, compressed"):
        build("idx", path=str(tmp_path))
    write_pair(tmp_path, "train", 90)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="its labels are missing; put train-labels-idx1-ubyte beside it"):
        build("idx", path=str(tmp_path))


def test_several_datasets_in_one_folder(tmp_path: Path, build: Build) -> None:
    write_pair(tmp_path, "train", 90, prefix="emnist-letters-")
    write_pair(tmp_path, "train", 90, prefix="emnist-digits-")
    with pytest.raises(DataError, match="several datasets in one folder"):
        build("idx", path=str(tmp_path))


def test_one_folder_below_that_has_the_files(tmp_path: Path, build: Build) -> None:
    """As torchvision keeps them, and as archives unpack: with what macOS adds, and folders named like the files in them."""
    write_pair(tmp_path / "MNIST" / "raw", "train", 90)
    write_pair(tmp_path / "MNIST" / "raw", "t10k", 12)
    (tmp_path / "MNIST" / "raw" / "._train-images-idx3-ubyte").write_bytes(b"x")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "train-images-idx3-ubyte").write_bytes(b"x")
    manifest = build("idx", path=str(tmp_path)).manifest
    assert (manifest.num_read, manifest.counts["test"]) == (102, 12)
    assert "the files are those of MNIST/raw" in manifest.notes
    write_pair(tmp_path / "EMNIST", "train", 90)
    with pytest.raises(
        DataError, match=r"2 folders hold such files; choose one of them:\n  regatta run data.path=.*EMNIST\n.*/raw$"
    ):
        build("idx", path=str(tmp_path))


def test_a_folder_named_like_a_file_is_none(tmp_path: Path, build: Build) -> None:
    write_pair(tmp_path, "train", 90, mark=".")
    for kind in ("images-idx3", "labels-idx1"):
        (tmp_path / f"train-{kind}-ubyte").mkdir()
    assert build("idx", path=str(tmp_path)).manifest.num_read == 90
