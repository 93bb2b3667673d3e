"""A prepared dataset, and what a study's runs on it come to on this machine's own processes."""

import pytest
from ray_study_project import EPOCHS, SEEDS, chosen, driver, end
from study.study_project import by_hash, make_project, planned_study

from pipeline.study.processes import Processes
from pipeline.study.run import compute


@pytest.fixture(scope="session")
def ray_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ray") / "project"
    folder.mkdir()
    make_project(folder)
    return folder


@pytest.fixture(scope="session")
def ray_reference(ray_folder):
    """The results of processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ray_folder)
        patch.setenv("REGATTA_RUNS", str(ray_folder / "reference"))
        compute(planned_study(chosen(SEEDS, EPOCHS)), Processes(2))
        return by_hash()


@pytest.fixture
def ray_project(ray_folder, tmp_path, monkeypatch):
    """A prepared dataset in the current directory, and no results yet; the folder of the results."""
    monkeypatch.chdir(ray_folder)
    monkeypatch.setenv("REGATTA_RUNS", str(tmp_path))
    return tmp_path


@pytest.fixture
def ray_driver():
    """Starts a study on Ray as a program of its own; none of them outlives the test."""
    started = []

    def start(*words):
        started.append(driver(*words))
        return started[-1]

    yield start
    for process in started:
        end(process)
