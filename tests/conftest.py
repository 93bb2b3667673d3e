"""A copy of the project in which the commands can be run as a user would."""

from __future__ import annotations

import copy
import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands_run import STUDY, commit, run

from pipeline import cli
from pipeline.config import composed
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.overrides import Overrides, candidate

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: the networks here are small, and tests run side by side
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:  # as of a job in the background; what is ignored is not obeyed
        signal.signal(number, usual)

ROOT = Path(__file__).resolve().parent.parent
COPIED = (
    "pipeline", "conf", "hydra_plugins", "extensions.py", "dvc.yaml", "params.yaml", ".dvc/config",
    ".dvc/.gitignore", ".dvcignore",
    ".gitignore", "data/.gitkeep", "artifacts/study/.gitkeep",
)  # fmt: skip
TINY = (
    "study=none", "prepare.limit=300", "augment.views=1", "model.widths=[16]", "train.epochs=2", "train.batch_size=32",
    f"+study.definitions.tiny={STUDY}",
)  # fmt: skip
SLOW_S = 2400
"""So long a test that takes minutes may take where the machine has other work, too."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the time limit of slow tests that have none of their own."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_S))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public datasets beside the checkout; the tests that need it are skipped without it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no datasets in {folder}")
    return folder


@pytest.fixture(scope="session")
def defaults() -> dict[str, Any]:
    """The configuration that nobody has changed."""
    with candidate(Overrides(), ROOT / "conf") as conf:
        return composed(conf)


@pytest.fixture
def values(defaults: dict[str, Any]) -> dict[str, Any]:
    """The same, to be changed."""
    return copy.deepcopy(defaults)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run of the tests have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed copy of the project as a fresh clone has it."""
    folder = tmp_path_factory.mktemp("template") / "project"
    for name in COPIED:
        source, place = ROOT / name, folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copyfile(source, place)
    (folder / "conf" / "overrides.yaml").write_text("# @package _global_\n")
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=folder, check=True)
    commit(folder, "start")
    return folder


@pytest.fixture(scope="session")
def trained_template(template: Path, shared_folder: Path) -> Path:
    """The same after `regatta run` with tiny numbers and one study, committed."""
    folder = shared_folder / "trained"
    with (shared_folder / "trained.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            partial = shared_folder / "trained.partial" / "project"
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(template, partial, symlinks=True)
            run(partial, "-m", "pipeline.cli", "run", *TINY)
            commit(partial, "run")
            partial.rename(folder)
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh clone, which is the current directory."""
    return entered(template, tmp_path / "project", monkeypatch)


@pytest.fixture
def trained(trained_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone in which everything has run, which is the current directory."""
    return entered(trained_template, tmp_path / "project", monkeypatch)


def entered(template: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a project as the current directory, with an environment of its own."""
    shutil.copytree(template, folder, symlinks=True)
    monkeypatch.chdir(folder)
    for name in ("REGATTA_RUNS", "REGATTA_ACCEPT_CODE", "REGATTA_FRESH", "DVC_SITE_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def regatta() -> Callable[..., str]:
    """Run a command of the code in the current directory as a process of its own."""
    return lambda *words, code=0: run(Path.cwd(), "-m", "pipeline.cli", *words, code=code)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command within this process, which takes the checkout's code, not that of the current directory."""

    def call(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        found = cli.main(words)
        said = "".join(capsys.readouterr())
        assert found == code, f"exit code {found}:\n{said}"
        return said

    return call


@pytest.fixture
def dvc() -> Callable[..., str]:
    """Run DVC in the current directory as a process of its own."""
    return lambda *words, code=0: run(Path.cwd(), "-m", "dvc", *words, code=code)


@pytest.fixture
def committed() -> Callable[[str], None]:
    """Commit all of the current directory that Git does not ignore."""
    return lambda message: commit(Path.cwd(), message)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """scikit-learn's digits as a prepared dataset."""
    from training_helpers import write_digits

    folder = tmp_path_factory.mktemp("digits") / "prepare"
    write_digits(folder)
    return open_dataset(folder)


@pytest.fixture
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an `extensions.py` that has the modules of own_modules.py."""
    from pipeline import extensions

    folder = tmp_path / "extensions"
    folder.mkdir()
    shutil.copyfile(ROOT / "tests" / "own_modules.py", folder / extensions.FILE)
    monkeypatch.setattr(extensions, "_unpacked", [folder])
    return folder
