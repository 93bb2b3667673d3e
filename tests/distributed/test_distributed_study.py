"""Studies on a Ray cluster of this machine's own cores: the results of processes, whatever goes wrong on the way."""

import copy
import dataclasses
import os
import time
from importlib.metadata import version

import pytest
import ray
from ray.exceptions import OutOfMemoryError
from ray_study_project import EPOCHS, SEEDS, actors_at_work, chosen, same
from study.study_project import by_hash, planned_study

from pipeline import extensions
from pipeline.distributed import study as study_module
from pipeline.distributed.study import Actors, StudyWorker, actors, capacity_there, fits, need, without_result
from pipeline.errors import ConfigError, RegattaError, Stopped
from pipeline.study.run import compute
from pipeline.study.schedule import Done, Failed, JobLost, Told


@pytest.fixture
def project(own_cluster, ray_project):
    return ray_project


@dataclasses.dataclass
class Killing(Actors):
    """Kills an actor that has trained for a while."""

    killed: int = 0

    def events(self, timeout_s):
        found = super().events(timeout_s)
        if not self.killed and any(isinstance(event, Told) and event.share > 0.02 for _, event in found):
            for process in actors_at_work(os.getpid(), cpu_s=0.0)[:1]:
                process.kill()
                self.killed += 1
        return found


def test_the_results_are_those_of_processes_and_a_killed_actor_costs_nothing_but_time(project, ray_reference, capsys):
    killing = Killing()
    outcomes = compute(planned_study(chosen(SEEDS, EPOCHS)), killing)
    assert [outcome.result.failure for outcome in outcomes] == [None] * 2 * SEEDS
    assert killing.killed == 1
    assert "study: an actor has gone (The actor died unexpectedly before finishing this task. " in capsys.readouterr().out
    same(copy.deepcopy(ray_reference), by_hash())


def test_a_defect_in_an_actor_ends_the_study_at_once(project, capsys):
    planned = planned_study(chosen(seeds=1))
    [job, *_] = planned.jobs
    wrong = dataclasses.replace(job, cells=tuple(dataclasses.replace(cell, lane=None) for cell in job.cells))
    workers = actors()
    started = time.monotonic()
    with pytest.raises(RegattaError, match=r"ended by a defect: AttributeError: 'NoneType' .*\(File .*\.py\", line \d+, in "):
        compute(dataclasses.replace(planned, jobs=[wrong]), workers)
    assert workers.started == 1, "it is not tried again"
    assert time.monotonic() - started < 120
    assert "AttributeError" in capsys.readouterr().err
    assert by_hash() == {}


@pytest.fixture
def worker_here(monkeypatch):
    """An actor's body in this process, which keeps its own `extensions.py`."""
    monkeypatch.setattr(extensions, "_unpacked", [])
    return lambda torch_version: StudyWorker(torch_version, extensions.packed())


def test_an_actor_of_other_code_or_another_torch_is_refused(project, worker_here):
    planned = planned_study(chosen(seeds=1))
    [job, *_] = planned.jobs
    with pytest.raises(
        ConfigError, match=r"node .*: its code of Regatta is not the study's .*; install the same on every node"
    ):
        compute(dataclasses.replace(planned, jobs=[dataclasses.replace(job, code="other")]), actors())
    event = worker_here("1.0").run(job, [], {})
    assert isinstance(event, Failed)
    assert f"has torch {version('torch')}, the study needs 1.0" in str(event.error)


def test_what_others_hold_is_waited_for_aloud_and_the_study_goes_on_with_the_rest(project, monkeypatch, capsys):
    class Holder:
        def hold(self):
            return True

    holder = ray.remote(Holder).options(num_cpus=1).remote()
    assert ray.get(holder.hold.remote())
    monkeypatch.setattr(study_module, "LATE_S", 3.0)
    workers = actors()
    outcomes = compute(planned_study(chosen(seeds=2, epochs=100)), workers)
    ray.kill(holder)
    assert [outcome.result.failure for outcome in outcomes] == [None] * 4
    said = capsys.readouterr().out
    assert "study: waiting for Ray to start 1 actor of 1 CPU; 0 of 2 CPUs are free in the cluster" in said
    assert "start again" not in said, "the job of the actor without a place has gone to the other one"


def test_a_state_is_kept_on_the_node_where_the_studys_folder_is_not_there(project, worker_here, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    [job, *_] = planned_study(chosen(seeds=1)).jobs
    job = dataclasses.replace(job, state=str(tmp_path / "elsewhere" / "s.safetensors"))
    data = [Actors()._data(job)]
    stopped = worker_here(version("torch"))
    stopped.end()
    event = stopped.run(job, data, {})
    assert isinstance(event.error, Stopped)
    [kept] = (tmp_path / "home" / ".cache" / "regatta").glob("*.safetensors")
    event = worker_here(version("torch")).run(job, data, {})
    assert isinstance(event, Done)
    assert len(event.results) == len(job.cells)
    assert not kept.exists()


def test_jobs_have_room_on_one_node_each():
    nodes = [(4.0, 0.0), (2.0, 1.0)]
    assert fits([(2.0, 0.0)] * 3, nodes)
    assert not fits([(2.0, 0.0)] * 4, nodes)
    assert not fits([(3.0, 0.0), (3.0, 0.0)], nodes), "six cores, but not three on the second node"
    assert fits([(1.0, 1.0), (4.0, 0.0)], nodes)
    assert not fits([(1.0, 1.0)] * 2, nodes)
    assert need(3, "cpu", nodes) == (3.0, 0.0)
    assert need(16, "cpu", nodes) == (4.0, 0.0), "as many cores as the largest node has"
    assert need(16, "cuda", nodes) == (1.0, 1.0)


def test_the_pool_is_as_large_as_the_cluster(project):
    assert capacity_there(1, "cpu").num == 2
    assert capacity_there(2, "cpu").num == 1
    [job, *_] = planned_study(chosen(seeds=1)).jobs
    workers = actors()
    assert workers.has_place(job)
    workers.start(job)
    assert workers.has_place(job)
    assert not workers.has_place(dataclasses.replace(job, threads=2))
    workers.start(job)
    assert not workers.has_place(job)
    workers.stop()


def test_an_actor_that_ray_ends_for_lack_of_memory_lacks_memory():
    assert without_result(OutOfMemoryError("low on memory")) == JobLost(
        "Ray has ended an actor for lack of memory", memory=True
    )
