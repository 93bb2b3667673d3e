"""What is torn or changed in DVC's cache is not handed out: the stage runs again."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cheap_project as cheap
import pytest
import yaml
from commands_run import environment

from pipeline.artifacts import STAGES
from pipeline.commands.restore import _checkout
from pipeline.errors import RegattaError

FILES = Path(".dvc/cache/files/md5")
LABELS, STUDY = Path("artifacts/prepare/train/labels.npy"), Path("artifacts/study/dropout")
Values = dict[str, Any]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which everything has run once."""
    folder = tmp_path_factory.mktemp("cheap")
    cheap.make(folder, without=["report"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cheap.ran()
    return folder


@pytest.fixture
def project(template: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Values]:
    """The project is the current directory; what is there afterwards is again as it should be."""
    monkeypatch.chdir(template)
    values = cheap.read_values()
    yield values
    cheap.write_values(values)
    cheap.ran()
    cheap.check_artifacts(values)


def cached(path: Path) -> Path:
    """The file of the cache that holds an output."""
    name = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    return FILES / name[:2] / name[2:]


def listing(folder: str) -> Path:
    """The file of the cache that lists the files of an output that is a folder."""
    stages = yaml.safe_load(Path("dvc.lock").read_text())["stages"]
    [name] = [out["md5"] for stage in stages.values() for out in stage["outs"] if out["path"] == folder]
    return FILES / name[:2] / name[2:]


def overwrite(path: Path, content: bytes, *, same_time: bool = False) -> None:
    """Other bytes in the same file, its rights as they were."""
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(before.st_mode)
    if same_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def flipped(path: Path) -> bytes:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    return bytes(content)


def exchanged(path: Path) -> bytes:
    """A whole listing in which two files have each other's content."""
    entries = json.loads(path.read_bytes())
    entries[0]["md5"], entries[1]["md5"] = entries[1]["md5"], entries[0]["md5"]
    return json.dumps(entries).encode()


def test_nothing_changed_in_the_cache_is_handed_out(project: Values, capfd: pytest.CaptureFixture[str]) -> None:
    """Not a file of a folder, not a folder's list of files, not what Git keeps, nor a study's table that was just made."""
    entries = {
        cached(LABELS): flipped,
        listing("artifacts/augment"): exchanged,
        listing("artifacts/train"): lambda path: path.read_bytes()[:-9],
        cached(Path("artifacts/evaluate/metrics.json")): lambda path: b"",
        cached(STUDY / "cells.parquet"): flipped,
    }
    for entry, change in entries.items():
        overwrite(entry, change(entry))
    for stage in STAGES[:5]:
        shutil.rmtree(Path("artifacts", stage))
    Path("artifacts/study").mkdir()
    assert cheap.ran() == list(STAGES[:5])
    said = capfd.readouterr().out
    assert all(f"{entry}: no longer what DVC has kept there" in said for entry in entries)
    cheap.check_artifacts(project)
    assert cheap.ran() == []


def test_bytes_that_changed_without_a_new_time_are_seen_when_handed_out(project: Values) -> None:
    overwrite(cached(LABELS), flipped(LABELS), same_time=True)
    shutil.rmtree("artifacts/prepare")
    assert cheap.ran() == ["prepare"]


def test_restoring_takes_nothing_that_was_changed(project: Values) -> None:
    overwrite(cached(LABELS), flipped(LABELS), same_time=True)
    for stage in ("prepare", "train"):
        shutil.rmtree(Path("artifacts", stage))
    assert _checkout(force=False) == ["artifacts/prepare"]
    assert Path("artifacts/train/own.json").exists()
    assert cheap.ran() == ["prepare"]


def test_an_output_that_shares_its_bytes_with_the_cache_is_mended(project: Values) -> None:
    output = Path("artifacts/evaluate/predictions.parquet")
    assert output.samefile(cached(output))
    overwrite(output, b"changed by hand")
    assert cheap.ran() == ["evaluate"]


def test_a_changed_entry_of_the_run_cache_is_not_used(project: Values) -> None:
    table = Path("artifacts/evaluate/predictions.parquet")
    before = cached(table)
    other = {**project, "evaluate": {**project["evaluate"], "batch_size": 7}}
    cheap.write_values(other)
    assert cheap.ran() == ["evaluate"]
    name = "".join(cached(table).parts[-2:])
    cheap.write_values(project)
    assert cheap.ran() == []
    [entry] = [path for path in Path(".dvc/cache/runs").rglob("*") if path.is_file() and name in path.read_text()]
    overwrite(entry, entry.read_text().replace(name, "".join(before.parts[-2:])).encode())
    cheap.write_values(other)
    assert cheap.ran() == ["evaluate"]
    cheap.check_artifacts(other)


def test_outputs_that_were_changed_or_have_gone_come_back(project: Values) -> None:
    shutil.rmtree("artifacts/augment")
    Path("artifacts/train/own.json").unlink()
    for path in (LABELS, Path("artifacts/evaluate/metrics.json"), Path("artifacts/evaluate/predictions.parquet")):
        path.unlink()
        path.write_text("changed by hand")
    assert cheap.ran() == []
    cheap.check_artifacts(project)


@pytest.mark.parametrize("name", ["cells.parquet", "effects.json", ""])
def test_a_studys_output_that_was_changed_or_has_gone_is_made_again(project: Values, name: str) -> None:
    if name:
        (STUDY / name).unlink()
        (STUDY / name).write_text("changed by hand")
    else:
        shutil.rmtree(STUDY)
    assert cheap.ran() == ["study"]


def test_after_a_refusal_everything_is_as_before(project: Values) -> None:
    folder = Path("artifacts/evaluate")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {path.name for path in before} == {"metrics.json", "predictions.parquet", "own.json", "labels.npy"}
    cheap.write_values({**project, "evaluate": {**project["evaluate"], "batch_size": 6}})
    Path("refused.txt").write_text("evaluate")
    try:
        with pytest.raises(RegattaError) as error:
            cheap.ran()
    finally:
        Path("refused.txt").unlink()
    assert error.value.exit_code == 3
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_lock_of_other_parameters_hands_out_nothing_of_them(project: Values) -> None:
    """As after `git checkout dvc.lock` or a merge."""
    lock = Path("dvc.lock").read_bytes()
    other = {**project, "prepare": {**project["prepare"], "limit": 280}}
    cheap.write_values(other)
    assert cheap.ran() == list(STAGES[:5])
    Path("dvc.lock").write_bytes(lock)
    assert cheap.ran() == ["study"]
    cheap.check_artifacts(other)


FILLED = """
import sys; sys.path.insert(0, sys.argv[1])
import cheap_project as cheap
from dvc.repo import Repo
from pipeline.errors import StorageError
try:
    cheap.ran()
except StorageError as error:
    print(error)
with Repo() as repo:
    locked = [stage.addressing for stage in repo.index.stages if any(out.hash_info for out in stage.outs)]
    lacking = [out.def_path for out in repo.index.outs if out.use_cache and out.hash_info and out.changed_cache()]
print(len(locked), lacking)
"""


@pytest.mark.timeout(120)
def test_a_stage_whose_outputs_a_full_cache_does_not_take_is_not_noted_as_done(tmp_path: Path) -> None:
    """A file system of its own for the cache, which ends with the process: DVC itself notes such a stage in dvc.lock."""
    cheap.make(tmp_path, without=["report"])
    (tmp_path / ".dvc" / "cache").mkdir()
    mounted = 'mount -t tmpfs -o size=60k tmpfs .dvc/cache && exec "$@"'
    own = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    if subprocess.run([*own, "mount -t tmpfs tmpfs /mnt"], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    words = [*own, mounted, "sh", sys.executable, "-c", FILLED, str(Path(cheap.__file__).parent)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    *_, told, found = done.stdout.splitlines()
    assert re.fullmatch(r"\.dvc/cache\S*: No space left on device; free space on that disk \(`dvc gc -w` .*", told)
    assert re.fullmatch(r"[1-6] \[\]", found)
