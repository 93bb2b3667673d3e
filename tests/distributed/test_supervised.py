"""Stages that lead a cluster: whatever ends the process that leads, or the cluster, they go on by themselves."""

import copy
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import yaml
from ray_study_project import Cluster, chosen, cluster_config, same, wait_for
from study.study_project import by_hash
from test_distributed_training import epochs_kept, run_in, same_run

from pipeline.artifacts import save_tensors
from pipeline.errors import ConfigError, RegattaError, Stopped
from pipeline.runs.find import Asked
from pipeline.stages.supervised import MOST_ENDS, asked, supervise
from pipeline.train.stopping import StopRequest

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 500
"""Of a training that is not over before a stop has reached the workers, on a busy machine either."""


@pytest.fixture(scope="module")
def folder(ray_folder, tmp_path_factory):
    """A project whose training takes some seconds, and in `alone` the records of the same training without a cluster."""
    place = tmp_path_factory.mktemp("supervised") / "project"
    shutil.copytree(ray_folder, place)
    values = yaml.safe_load((place / "values.yaml").read_text())
    values["model"] |= {"widths": [32, 16]}
    values["train"] |= {"epochs": EPOCHS, "shards": 4, "batch_size": 50, "save_every_s": 0.5}
    values["tracking"]["mode"] = "disabled"
    (place / "values.yaml").write_text(yaml.safe_dump(values))
    Stage(place, "alone", values["cluster"] | {"reduce": "exact"}).ends(0)
    return place


class Stage:
    """A stage of the project as a program, with records of its own; each of its files has their name."""

    def __init__(self, folder, runs, cluster, *words, **changes):
        values = yaml.safe_load((folder / "values.yaml").read_text()) | changes | {"cluster": cluster}
        (folder / "params.yaml").write_text(yaml.safe_dump(values))
        self.runs, self.log = folder / runs, folder / f"{runs}.log"
        environment = os.environ | {"PYTHONPATH": str(ROOT), "REGATTA_RUNS": runs, "PYTHONWARNINGS": "ignore"}
        name, *arguments = words or ["train"]
        command = [sys.executable, "-m", f"pipeline.stages.{name}", *arguments]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)

    @property
    def said(self):
        return self.log.read_text()

    @property
    def run(self):
        return run_in(self.runs)

    @property
    def epochs(self):
        return epochs_kept(self.runs)

    @property
    def below(self):
        """All processes that it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    @property
    def leader(self):
        """The process that leads the cluster's work."""
        return psutil.Process(self.process.pid).children()[0]

    def wait_for(self, true):
        wait_for(lambda: true() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said

    def ends(self, code):
        self.process.wait(timeout=600)
        assert self.process.returncode == code, self.said


def ended(processes):
    """All of them, within the time that a node takes to end."""
    _, still = psutil.wait_procs(processes, timeout=60)
    assert still == []


def two_workers(**more):
    values = cluster_config().model_dump(mode="json")
    return values | {"workers": 2, "min_workers": 2, "reduce": "exact", "timeout_s": 6.0} | more


def strike(victim, stage):
    cluster = next(own for own in stage.below if own.name() == "raylet")
    (cluster if victim == "cluster" else stage.leader).kill()


HOW = {"cluster": "as when its Ray cluster has gone", "leader": "(SIGKILL)"}


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["cluster", "leader"])
def test_a_lost_cluster_or_a_killed_leader_costs_time_and_no_bits(folder, victim):
    stage = Stage(folder, victim, two_workers())
    stage.wait_for(lambda: stage.epochs > 10)
    kept, first = stage.epochs, stage.below
    strike(victim, stage)
    stage.ends(0)
    assert stage.said.count("starts again") == 1
    same_run(run_in(folder / "alone"), stage.run)
    last = stage.run.read()["interruptions"][-1]  # the first leader may have noted the loss of its workers, too
    assert HOW[victim] in last["reason"]
    assert last["epoch"] >= kept
    ended(first)
    assert (folder / "artifacts" / "train" / "best.safetensors").exists()


def test_a_stopped_and_a_killed_stage_leave_no_process_and_go_on_with_the_bits_of_one_worker(folder):
    first = Stage(folder, "again", two_workers())
    first.wait_for(lambda: first.epochs > 10)
    every = first.below
    first.process.send_signal(signal.SIGTERM)
    first.ends(Stopped.exit_code)
    assert "regatta train: stopped by SIGTERM in epoch" in first.said
    assert first.run.read()["state"] == "stopped"
    ended(every)
    kept = first.epochs

    second = Stage(folder, "again", two_workers())
    second.wait_for(lambda: second.epochs > kept + 10)
    every = second.below
    second.process.kill()
    second.ends(-signal.SIGKILL)
    ended(every)

    third = Stage(folder, "again", two_workers())
    third.ends(0)
    assert "goes on from epoch" in third.said
    assert third.run.read()["restarts"] == 2
    same_run(run_in(folder / "alone"), third.run)


@pytest.mark.slow
def test_a_cluster_that_comes_back_is_waited_for(folder, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    first, second = Cluster(), Cluster()
    token = shutil.copy(first.token, tmp_path / "token")
    try:
        first.head(2, port)
        stage = Stage(folder, "back", two_workers(address=f"127.0.0.1:{port}", token_path=str(token)))
        stage.wait_for(lambda: stage.epochs > 10)
        first.end()
        stage.wait_for(lambda: "for the cluster to come back" in stage.said)
        second.head(2, port)
        stage.ends(0)
        assert stage.run.read()["restarts"] >= 1
        same_run(run_in(folder / "alone"), stage.run)
    finally:
        first.end()
        second.end()


@pytest.fixture
def ray_chosen(tmp_path, monkeypatch):
    """Parameters that choose Ray, in the current directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"cluster": two_workers()}))
    return tmp_path / "seen"


def note(seen):
    """A line for each time that the work has begun."""
    with seen.open("a") as file:
        file.write("begun\n")
    return len(seen.read_text().splitlines())


def raises(error):
    raise error


def test_what_the_work_raises_is_raised(ray_chosen):
    with pytest.raises(ConfigError, match="a shard too few"):
        supervise("train", lambda asked: raises(ConfigError("a shard too few")))
    with pytest.raises(SystemExit) as ended:
        supervise("train", lambda asked: 1 / 0)
    assert ended.value.code == 1


@pytest.mark.parametrize(("code", "how"), [(1, "exit code 1, as when its Ray cluster has gone"), (-9, "SIGKILL")])
def test_work_that_is_ended_goes_on_and_knows_why(ray_chosen, code, how):
    def work(asked):
        if note(ray_chosen) == 1:
            os._exit(code) if code > 0 else os.kill(os.getpid(), -code)
        assert asked.lost == f"the process that led the work has gone ({how})"

    supervise("train", work)
    assert note(ray_chosen) == 3


def test_work_that_is_ended_again_and_again_is_given_up_unless_it_saves(ray_chosen, monkeypatch):
    monkeypatch.setenv("REGATTA_RUNS", "runs")
    state = Path("runs") / "one" / "state.safetensors"
    state.parent.mkdir(parents=True)

    def work(asked):
        number = note(ray_chosen)
        save_tensors(state, {}, {"epoch": min(number, 3)})  # the first three get further
        os._exit(1)

    with pytest.raises(RegattaError, match=f"exit code 1.* {MOST_ENDS} times in a row without anything saved"):
        supervise("train", work)
    assert note(ray_chosen) - 1 == 3 + MOST_ENDS - 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("taker", ["this thread", "another thread"])
def test_a_stop_that_comes_before_the_work_is_heard(ray_chosen, monkeypatch, number, taker):
    """Just before the process is forked, to which nothing is sent then."""
    fork = os.fork

    def take():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        signal.pthread_kill(threading.get_ident(), number)

    def signalled():
        if taker == "this thread":
            signal.pthread_kill(threading.get_ident(), number)
        else:
            other = threading.Thread(target=take)
            other.start()
            other.join()
        return fork()

    monkeypatch.setattr(os, "fork", signalled)
    with pytest.raises((Stopped, KeyboardInterrupt)):
        supervise("train", lambda asked: time.sleep(20))


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_is_not_answered_by_another_start(ray_chosen, times):
    """Once: the work has noted it, and then is ended from outside. Twice: it ends at once, by that signal."""

    def work(asked):
        note(ray_chosen)
        stop = StopRequest()
        with stop.listening():
            os.kill(os.getppid(), signal.SIGINT)  # as a terminal sends it, to both
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        os._exit(1)

    with pytest.raises(Stopped, match="stopped by Ctrl-C; the same command goes on"):
        supervise("train", work)
    assert note(ray_chosen) == 2


def test_sigterm_while_the_work_waits_is_a_stop(ray_chosen):
    def work(asked):
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(20)

    with pytest.raises(Stopped, match="stopped by SIGTERM"):
        supervise("train", work)


def test_more_than_a_pipe_holds_is_raised_whole(ray_chosen):
    with pytest.raises(ConfigError) as found:
        supervise("train", lambda asked: raises(ConfigError("x" * 200_000)))
    assert len(str(found.value)) == 200_000


@pytest.mark.slow
def test_a_study_goes_on_from_the_results_that_there_are(ray_folder, ray_reference, tmp_path, monkeypatch):
    place = shutil.copytree(ray_folder, tmp_path / "project")
    tracking = yaml.safe_load((place / "values.yaml").read_text())["tracking"] | {"mode": "disabled"}
    study = {"definitions": {"s": chosen().model_dump(mode="json")}, "on_run": None}
    stage = Stage(place, "study", cluster_config().model_dump(mode="json"), "study", "s", study=study, tracking=tracking)
    stage.wait_for(lambda: list(stage.runs.glob("cells/*.json")))
    stage.leader.kill()
    stage.ends(0)
    assert "study s: the process that led the work has gone (SIGKILL); starts again" in stage.said
    first, second = re.findall(r"study s: 8 runs, (\d+) of them known already", stage.said)
    assert int(first) == 0 < int(second)
    monkeypatch.setenv("REGATTA_RUNS", str(stage.runs))
    found, expected = by_hash(), copy.deepcopy(ray_reference)
    for result in (*found.values(), *expected.values()):
        result.pop("num_together")  # those that were left are put together anew
    same(found, expected)


def test_what_a_run_is_asked_is_read_once(ray_chosen, monkeypatch):
    """From the environment that DVC hands down, beside what is known here."""
    monkeypatch.setenv("REGATTA_FRESH", "a word")
    monkeypatch.setenv("REGATTA_ACCEPT_CODE", "1")
    assert asked("gone") == Asked(accept_code=True, fresh="a word", lost="gone")
    for name in ("REGATTA_FRESH", "REGATTA_ACCEPT_CODE"):
        monkeypatch.setenv(name, "")
    assert asked() == Asked()
