from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.artifacts import write_parquet
from pipeline.data import intact
from pipeline.data.dataset import Dataset, mapped
from pipeline.data.intact import check_intact, digests
from pipeline.errors import StorageError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    place = Path("artifacts/prepare")
    (place / "train").mkdir(parents=True)
    np.save(place / "train" / "inputs.npy", np.arange(100, dtype=np.uint8))
    (place / "rejected.csv").write_text("source,row,reason\n")
    return place


def flip(path: Path, at: int = -1, keep_time: bool = False) -> None:
    """One bit, as a disk does it: with the file's times as they were."""
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    if keep_time:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_whole_files_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = digests(folder)
    assert list(written) == ["rejected.csv", "train/inputs.npy"]
    check_intact(folder, written, "prepare")
    monkeypatch.setattr(intact, "file_digest", lambda path: pytest.fail(f"{path} is read again"))
    check_intact(folder, written, "prepare")


@pytest.mark.parametrize("keep_time", [False, True])
@pytest.mark.parametrize("seen", [False, True])
def test_a_flipped_bit_is_found(folder: Path, seen: bool, keep_time: bool) -> None:
    written = digests(folder)
    if seen:
        check_intact(folder, written, "prepare")
    flip(folder / "train" / "inputs.npy", keep_time=keep_time)
    with pytest.raises(StorageError, match=r"inputs.npy: not the bytes that prepare wrote; say `rm -r artifacts/prepare`"):
        check_intact(folder, written, "prepare")
    flip(folder / "train" / "inputs.npy")
    check_intact(folder, written, "prepare")


@pytest.mark.parametrize("length", [0, 40, 150])
def test_cut_and_missing_arrays_are_named(folder: Path, length: int) -> None:
    written, path = digests(folder), folder / "train" / "inputs.npy"
    os.truncate(path, length)
    with pytest.raises(StorageError, match="not the bytes"):
        check_intact(folder, written, "prepare")
    with pytest.raises(StorageError, match=r"inputs.npy: not a whole array .*prepare makes it anew"):
        mapped(path)
    path.unlink()
    with pytest.raises(StorageError, match=r"inputs.npy: missing, though prepare wrote it"):
        check_intact(folder, written, "prepare")


@pytest.mark.parametrize("share", [0.0, 0.5, None])
def test_half_a_table_of_where_samples_came_from_is_named(digits: Dataset, tmp_path: Path, share: float | None) -> None:
    own, table = Dataset(tmp_path, digits.manifest), tmp_path / "val" / "samples.parquet"
    table.parent.mkdir()
    write_parquet(table, pa.table({"id": [1, 2], "source": ["a.png", "b.png"]}))
    assert own.sources("val") == ["a.png", "b.png"]
    if share is None:
        table.unlink()
    else:
        os.truncate(table, int(share * table.stat().st_size))
    with pytest.raises(StorageError, match=r"val/samples\.parquet: missing or not a whole table"):
        own.sources("val")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"train/inputs.npy": 3}'])
def test_a_torn_record_of_what_was_seen_is_no_proof(folder: Path, content: str) -> None:
    written = digests(folder)
    check_intact(folder, written, "prepare")
    flip(folder / "train" / "inputs.npy")
    Path("artifacts/.prepare.intact.json").write_text(content)
    with pytest.raises(StorageError, match="not the bytes"):
        check_intact(folder, written, "prepare")
