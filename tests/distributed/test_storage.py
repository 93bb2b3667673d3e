"""A run's storage fills up or vanishes on the way: it ends with words, and goes on from where it was."""

import re
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_distributed_training import driver, ended, epochs_kept, run_in, same_run, wait_for
from training_driver import fit_with

from pipeline.errors import StorageError

WIDE = {"model.widths": [256, 256], "save_every_s": 0.3}
"""A state of 1.4 MB: two are kept, and a third does not fit into 3 MB."""
WIDE_EPOCHS = 60


@pytest.fixture(scope="module", autouse=True)
def _mounts_can_be_made(tmp_path_factory):
    place = tmp_path_factory.mktemp("try")
    tried = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no file systems can be mounted here: {tried.stderr.strip()}")
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture(scope="module")
def wide(digits, tmp_path_factory):
    """The folder of the undisturbed training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGATTA_RUNS", str(tmp_path_factory.mktemp("wide")))
        return fit_with(digits.path, WIDE_EPOCHS, **WIDE)


@contextmanager
def mounted(place, *words):
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", *words, str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False)


def start(digits, folder, workers):
    changes = [f"{key}={value}".replace(" ", "") for key, value in WIDE.items()]
    return driver(digits, folder, workers, "exact", WIDE_EPOCHS, *changes)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_costs_no_more_than_the_last_save(digits, wide, tmp_path, workers):
    runs = tmp_path / "runs"
    with mounted(runs, "-t", "tmpfs", "-o", "size=3m", "tmpfs"):
        code, said = ended(start(digits, runs, workers))
        assert code == StorageError.exit_code, said
        assert "can't be written or read (No space left on device); free space or check the rights, then repeat" in said
        assert f"StorageError: {runs}/" in said, "the file is named"
        kept = epochs_kept(runs)
        assert 0 < kept < WIDE_EPOCHS
        assert [path.name for path in run_in(runs).path.glob("*.partial-*")] == []
        subprocess.run(["mount", "-o", "remount,size=30m", str(runs)], check=True)
        code, said = ended(start(digits, runs, workers))
        assert code == 0, said
        assert 1 < int(re.search(r"goes on from epoch (\d+)", said)[1]) <= kept + 1
        same_run(wide, run_in(runs))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_storage_that_vanishes_ends_the_run_and_loses_nothing(digits, wide, tmp_path, workers):
    kept, runs = tmp_path / "kept", tmp_path / "runs"
    kept.mkdir()
    with mounted(runs, "--bind", str(kept)):
        process = start(digits, runs, workers)
        wait_for(lambda: epochs_kept(runs) > 5, process)
        subprocess.run(["umount", "--lazy", str(runs)], check=True)
        code, said = ended(process)
    assert code == StorageError.exit_code, said
    assert f"StorageError: {runs}/" in said
    assert list(runs.iterdir()) == [], "nothing is written beside the storage"
    with mounted(runs, "--bind", str(kept)):
        code, said = ended(start(digits, runs, workers))
        assert code == 0, said
        assert "goes on from epoch" in said
        same_run(wide, run_in(runs))


@pytest.mark.slow
def test_four_workers_with_their_temporary_files_on_another_file_system(digits, wide, tmp_path, monkeypatch, request):
    elsewhere = Path(tempfile.mkdtemp(prefix="rg", dir="/tmp"))  # Ray's sockets have their names below it, which must be short
    request.addfinalizer(elsewhere.rmdir)
    with mounted(elsewhere, "-t", "tmpfs", "tmpfs"):
        monkeypatch.setenv("TMPDIR", str(elsewhere))
        code, said = ended(start(digits, tmp_path / "runs", 4))
        assert code == 0, said
        assert "train: 4 workers on" in said
        same_run(wide, run_in(tmp_path / "runs"))
