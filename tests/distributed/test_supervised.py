"""Stages that lead a cluster: whatever ends the process that leads, or the cluster, they go on by themselves."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml
from ray_study_project import Cluster, alive, cluster_config, wait_for
from study.study_project import definition
from test_distributed_training import epochs_kept, run_in, same_run

from pipeline.errors import ConfigError, RegattaError, Stopped
from pipeline.stages.supervised import MOST_ENDS, supervised
from pipeline.train.runs import FRESH, LOST

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 150


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
        self.process.wait(timeout=180)
        assert self.process.returncode == code, self.said


def two_workers(**more):
    values = cluster_config().model_dump(mode="json")
    return values | {"workers": 2, "min_workers": 2, "reduce": "exact", "timeout_s": 6.0} | more


def test_a_lost_cluster_and_a_killed_leader_cost_time_and_no_bits(folder):
    stage = Stage(folder, "lost", two_workers())
    stage.wait_for(lambda: stage.epochs > 10)
    first = stage.below
    next(own for own in first if own.name() == "raylet").kill()
    stage.wait_for(lambda: "starts again" in stage.said)
    kept = stage.epochs
    stage.wait_for(lambda: stage.epochs > kept + 10)
    second = stage.below
    stage.leader.kill()
    stage.ends(0)
    assert stage.said.count("starts again from the last save") == 2
    same_run(run_in(folder / "alone"), stage.run)
    *_, by_ray, by_hand = stage.run.read()["interruptions"]  # the first leader may have noted the loss of its workers, too
    assert "as when its Ray cluster has gone" in by_ray["reason"]
    assert "ended by SIGKILL" in by_hand["reason"]
    assert by_hand["epoch"] > kept
    assert alive([*first, *second]) == []
    assert (folder / "artifacts" / "train" / "best.safetensors").exists()


def test_a_stop_is_handed_on_and_no_process_stays(folder):
    train = yaml.safe_load((folder / "values.yaml").read_text())["train"] | {"epochs": 10 * EPOCHS}
    stage = Stage(folder, "stopped", two_workers(), train=train)
    stage.wait_for(lambda: stage.epochs > 10)
    every = stage.below
    stage.process.send_signal(signal.SIGTERM)
    stage.ends(Stopped.exit_code)
    assert "regatta train: stopped by SIGTERM in epoch" in stage.said
    assert stage.run.read()["state"] == "stopped"
    assert alive(every) == []


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
    monkeypatch.delenv(LOST, raising=False)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"cluster": two_workers()}))


def test_what_the_work_raises_is_raised(ray_chosen):
    with pytest.raises(ConfigError, match="a shard too few"):
        supervised("train", lambda: (_ for _ in ()).throw(ConfigError("a shard too few")))
    with pytest.raises(SystemExit) as ended:
        supervised("train", lambda: 1 / 0)
    assert ended.value.code == 1
    assert LOST not in os.environ


def test_work_that_is_ended_goes_on_and_is_not_begun_afresh_again(ray_chosen, tmp_path, monkeypatch):
    monkeypatch.setenv(FRESH, "1")
    monkeypatch.setenv(LOST, "")
    monkeypatch.delenv(LOST)

    def work():
        with (tmp_path / "seen").open("a") as file:
            file.write(f"{os.environ.get(FRESH)} {os.environ.get(LOST)}\n")
        if LOST not in os.environ:
            os._exit(1)

    supervised("train", work)
    first, second = (tmp_path / "seen").read_text().splitlines()
    assert first == "1 None"
    assert second == "None the process that led the work has gone (exit code 1, as when its Ray cluster has gone)"


def test_work_that_is_ended_again_and_again_is_given_up(ray_chosen, tmp_path, monkeypatch):
    monkeypatch.setenv(LOST, "")

    def work():
        with (tmp_path / "seen").open("a") as file:
            file.write("begun\n")
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RegattaError, match=f"ended by SIGKILL.* {MOST_ENDS} times in a row"):
        supervised("train", work)
    assert len((tmp_path / "seen").read_text().splitlines()) == MOST_ENDS


@pytest.mark.slow
def test_a_study_goes_on_as_well(folder):
    chosen = definition({"none": {"model.dropout": 0.0}}, seeds=4, baseline={"train.epochs": 250})
    study = {"definitions": {"s": chosen.model_dump(mode="json")}, "on_run": None}
    stage = Stage(folder, "study", cluster_config().model_dump(mode="json"), "study", "s", study=study)
    stage.wait_for(lambda: list(stage.runs.glob("cells/*")))
    stage.leader.kill()
    stage.ends(0)
    assert "study s: the process that led the work has gone (ended by SIGKILL); starts again from the last save" in stage.said
    assert (folder / "artifacts" / "study" / "s" / "effects.json").exists()
