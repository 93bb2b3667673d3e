"""The stage as DVC runs it, on public data where it is at hand."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import data_samples
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from pipeline.data.dataset import Dataset, open_dataset
from pipeline.errors import ConfigError, DataError
from pipeline.stages import prepare

OUT = Path("artifacts/prepare")
DATA = data_samples.DATA | {"source": "digits", "max_pixels": 10**7}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_params(prepare: dict[str, Any] | None = None, **data: Any) -> None:
    Path("params.yaml").write_text(yaml.safe_dump({"data": DATA | data, "prepare": data_samples.PREPARE | (prepare or {})}))


def prepared(prepare_keys: dict[str, Any] | None = None, **data: Any) -> Dataset:
    write_params(prepare_keys, **data)
    prepare.run()
    return open_dataset(OUT)


def as_program() -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pipeline.stages.prepare"], capture_output=True, text=True, check=False)


def test_digits(capsys: pytest.CaptureFixture[str]) -> None:
    dataset = prepared()
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "prepare: reading digits (embedded) into artifacts/prepare"
    assert said[1].startswith("prepare: 1,797 samples of 10 classes as 1 x 8 x 8 uint8: train ")
    assert sorted(file.name for file in OUT.iterdir()) == ["alike.csv", "dataset.json", "rejected.csv", "test", "train", "val"]
    before = {file: file.read_bytes() for file in OUT.rglob("*") if file.is_file()}
    prepare.run()
    assert {file: file.read_bytes() for file in OUT.rglob("*") if file.is_file()} == before
    assert dataset.manifest.fit["mean"][0] == pytest.approx(0.305, abs=0.01)


def test_exit_codes_and_an_untouched_old_dataset() -> None:
    write_params()
    assert as_program().returncode == 0
    before = (OUT / "dataset.json").read_bytes()
    write_params(source="folder", path="nowhere")
    done = as_program()
    assert done.returncode == 2
    assert "regatta prepare: data.path = nowhere: no such file or folder" in done.stderr
    Path("empty").mkdir()
    write_params(source="folder", path="empty")
    assert as_program().returncode == 3
    write_params(resize="zoom")
    assert as_program().returncode == 2
    assert (OUT / "dataset.json").read_bytes() == before
    assert [file.name for file in Path("artifacts").iterdir() if "partial" in file.name] == []


def test_missing_parameters() -> None:
    with pytest.raises(ConfigError, match=r"params.yaml: missing"):
        prepare.run()


def test_nothing_heavy_is_imported() -> None:
    heavy = ("torch", "pandas", "ray", "wandb", "sklearn", "pyarrow", "hydra")
    code = f"import sys, pipeline.stages.prepare; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def photo_folder(folder: Path, num: int) -> None:
    for c, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for i in range(num):
            values = np.random.default_rng(1000 * c + i).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(values).save(folder / name / f"{i}.png")


def test_a_bar_on_a_terminal_and_lines_elsewhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from pipeline import progress

    photo_folder(Path("photos"), 100)
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    prepared(source="folder", path="photos")
    lines = capsys.readouterr().out.splitlines()
    assert "prepare: reading: 200 of 200 samples" in lines
    assert "prepare: decoding: 200 of 200 samples" in lines
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    prepared(source="folder", path="photos")
    assert "prepare: decoding:   0%|" in capsys.readouterr().err


@pytest.mark.parametrize("delay_s", [0.0, 0.3])
def test_a_killed_stage_leaves_no_worker_and_the_old_dataset(delay_s: float) -> None:
    """At once: while the workers start, which they do without waiting for the work to prove long; later: while they work."""
    write_params()
    prepare.run()
    before = (OUT / "dataset.json").read_bytes()
    photo_folder(Path("photos"), 4000)
    write_params(source="folder", path="photos", size=64)
    program = (
        "from pipeline.prepare import parallel; parallel.PATIENCE_S = 0.0\n"
        "from pipeline.stages.prepare import run, run_stage\n"
        "if __name__ == '__main__': run_stage('prepare', run)\n"
    )
    Path("impatient.py").write_text(program)
    paths = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "impatient.py"], start_new_session=True, env=paths)
    deadline = time.monotonic() + 60
    while len(group_members(process.pid)) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while group_members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert group_members(process.pid) == []
    assert (OUT / "dataset.json").read_bytes() == before


def group_members(group: int) -> list[int]:
    """The living processes of a process group."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                members.append(int(entry.name))
    return members


def test_fashion_mnist(shared_data: Path) -> None:
    dataset = prepared({"limit": 3000}, source="idx", path=str(shared_data / "fashion-mnist"))
    manifest = dataset.manifest
    assert (manifest.num_read, manifest.shape, manifest.task) == (70000, [1, 28, 28], "single")
    assert manifest.classes == [str(i) for i in range(10)]
    assert sum(manifest.counts.values()) == 3000
    assert manifest.counts["test"] == pytest.approx(3000 / 7, rel=0.2)
    assert manifest.fit["mean"][0] == pytest.approx(0.2860, abs=0.01)
    assert manifest.fit["std"][0] == pytest.approx(0.3530, abs=0.01)
    assert {name.partition(":")[0] for name in dataset.sources("test")} == {"t10k-images-idx3-ubyte.gz"}


def test_clothing_photos(shared_data: Path, root: Path) -> None:
    with tarfile.open(shared_data / "clothing_small_test.tar.gz") as archive:
        members = [m for m in archive.getmembers() if m.isfile() and m.name.split("/")[2] in ("hat", "dress", "skirt")]
        archive.extractall(root, members, filter="data")
    dataset = prepared(source="folder", path="clothing/test", size=[48, 32])
    assert dataset.manifest.classes == ["dress", "hat", "skirt"]
    assert dataset.manifest.shape == [3, 48, 32]
    assert dataset.manifest.num_read == 39
    assert all(all(counts) for counts in dataset.manifest.class_counts.values())
    part = dataset.split("train")
    for pixels, name in zip(part.inputs[:5], dataset.sources("train")[:5], strict=True):
        with Image.open(Path("clothing/test") / name) as image:
            scale = min(32 / image.width, 48 / image.height)
            small = image.convert("RGB").resize(
                (round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR
            )
        top, left = (48 - small.height) // 2, (32 - small.width) // 2
        inner = pixels[:, top : top + small.height, left : left + small.width].astype(int)
        assert np.abs(inner - np.asarray(small).transpose(2, 0, 1)).mean() < 4
    half = sorted(Path("clothing/test/hat").iterdir())[0]
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    with pytest.raises(DataError, match=r"1 of 39 .* samples can't be taken"):
        prepared(source="folder", path="clothing/test", size=[48, 32])
    assert len(prepared({"max_bad_fraction": 0.1}, source="folder", path="clothing/test", size=[48, 32]).sources("train")) > 25


def test_cifar(shared_data: Path) -> None:
    for split, num in (("train", 400), ("test", 100)):
        table = pq.ParquetFile(shared_data / f"cifar10_{split}.parquet")
        batch = next(table.iter_batches(num))
        with pq.ParquetWriter(f"{split}.parquet", table.schema_arrow) as writer:
            writer.write_batch(batch)
    dataset = prepared(source="parquet", train_path="train.parquet", test_path="test.parquet")
    assert dataset.manifest.classes[:3] == ["airplane", "automobile", "bird"]
    assert dataset.manifest.shape == [3, 32, 32]
    assert dataset.manifest.counts["test"] == 100
    cells = pq.read_table("test.parquet").to_pylist()
    part = dataset.split("test")
    for pixels, label, name in zip(part.inputs, part.labels, dataset.sources("test"), strict=True):
        cell = cells[int(name.removeprefix("test/test.parquet:"))]
        with Image.open(io.BytesIO(cell["image"]["bytes"])) as image:
            assert (np.asarray(image) == pixels.transpose(1, 2, 0)).all()
        assert cell["label"] == label
