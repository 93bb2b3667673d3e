"""Two fresh clones on one machine: `dvc repro` gives the same bytes."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

BYTES = ("artifacts/prepare", "artifacts/augment", "artifacts/train/best.safetensors", "artifacts/evaluate/predictions.parquet")
"""What is promised; records also hold times of day."""


def promised(project: Path) -> dict[str, bytes]:
    folders = [project / name for name in BYTES]
    files = [file for folder in folders for file in (sorted(folder.rglob("*")) if folder.is_dir() else [folder])]
    return {file.relative_to(project).as_posix(): file.read_bytes() for file in files if file.is_file()}


def test_dvc_repro_in_a_clone_gives_the_bytes_of_the_first(
    trained: Path, tmp_path: Path, dvc: Callable[..., str], monkeypatch
) -> None:
    """Without runs/ and without the cache, so that everything is computed again."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(trained), str(clone)], check=True)
    shutil.copytree(trained / "data", clone / "data", dirs_exist_ok=True, symlinks=True)
    first = promised(trained)
    monkeypatch.chdir(clone)
    assert not Path("runs").exists()
    assert not Path(".dvc/cache").exists()
    dvc("repro", "--force")
    second = promised(clone)
    assert {"artifacts/prepare/train/inputs.npy", "artifacts/augment/views-000.npy"} < first.keys()
    assert list(first) == list(second)
    differing = [name for name in first if first[name] != second[name]]
    assert not differing
    cells = [pq.read_table(next(folder.glob("artifacts/study/*/cells.parquet"))).to_pylist() for folder in (trained, clone)]
    values = [[row for row in rows if row["metric"] != "seconds"] for rows in cells]
    assert values[0] == values[1], "the studies agree, too"
