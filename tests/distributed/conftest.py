"""What trainings and studies on Ray are compared with: the same by one worker, and by this machine's own processes."""

import os

import pytest
from ray_study_project import EPOCHS, SEEDS, chosen, cluster_config, driver, end
from study.study_project import by_hash, make_project, planned_study
from training_driver import EPOCHS as TRAINING_EPOCHS
from training_driver import fit_with

from pipeline.distributed.connection import connected
from pipeline.study.processes import Processes
from pipeline.study.run import compute

os.environ.setdefault("RAY_worker_niceness", "0")  # else whatever runs beside them makes them wait, and they seem frozen


@pytest.fixture(scope="session")
def alone(digits, tmp_path_factory):
    """The folder of the drivers' training by one worker, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGATTA_RUNS", str(tmp_path_factory.mktemp("alone")))
        return fit_with(digits.path, TRAINING_EPOCHS)


@pytest.fixture(scope="module")
def own_cluster():
    """Connected to a cluster of two cores."""
    with connected(cluster_config(), cores=2):
        yield


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
