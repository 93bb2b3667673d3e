from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.commands.compose import apply, change
from pipeline.commands.run import clear_old_studies, pass_on, summary
from pipeline.config import read_values

Command = Callable[..., str]


def test_everything_ran_and_a_second_time_nothing_does(trained: Path, regatta: Command) -> None:
    said = regatta("run")
    assert "Nothing had to be run again." in said
    lines = said.splitlines()[-3:]
    assert "best epoch" in lines[0]
    assert "validation loss" in lines[0]
    assert lines[1].startswith("test: accuracy 0.")
    assert lines[2] == "The report is artifacts/report/index.html"
    assert Path("artifacts/report/index.html").exists()


def test_a_run_keeps_what_brings_it_back(trained: Path) -> None:
    [run] = Path("runs").glob("2*")
    kept = sorted(path.relative_to(run / "kept").as_posix() for path in (run / "kept").rglob("*") if path.is_file())
    assert kept == ["artifacts/evaluate/metrics.json", "artifacts/study/tiny/effects.json", "conf/overrides.yaml", "dvc.lock"]


def test_overrides_stay_until_reset(project: Path) -> None:
    apply(change(["model.dropout=0.5", "augment=none"]), force=False)
    stayed = change(["train.epochs=3"])
    assert stayed.overrides.words() == ["augment=none", "model.dropout=0.5", "train.epochs=3"]
    assert (stayed.values["model"]["dropout"], stayed.values["train"]["epochs"]) == (0.5, 3)
    assert change(["train.epochs=3"], reset=True).overrides.words() == ["train.epochs=3"]
    assert change([], reset=True).values["model"]["dropout"] == 0.2


def test_all_mistakes_are_said_and_nothing_is_written(project: Path, regatta: Command) -> None:
    before = {path: path.read_bytes() for path in (Path("params.yaml"), Path("conf/overrides.yaml"))}
    said = regatta("run", "model.dropuot=0.5", "train.epochs=x", "data=folder", code=2)
    assert "model.dropuot: unknown key (value 0.5); did you mean model.dropout?" in said
    assert "train.epochs = 'x': should be a valid integer" in said
    assert "data.path" in said
    assert {path: path.read_bytes() for path in before} == before


def test_a_stages_exit_code_is_that_of_the_command(trained: Path, regatta: Command) -> None:
    said = regatta("run", "train.batch_size=100000", code=2)
    assert "train.batch_size = 100000" in said
    assert "failed to reproduce 'train' (exit code 2, its message is above)" in said


def test_a_second_run_in_one_project_is_refused(project: Path, regatta: Command) -> None:
    with Path("artifacts/.run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "held by" in regatta("run", code=6)


def test_missing_data_is_said_before_anything_runs(project: Path, regatta: Command) -> None:
    assert "data.path = data/none: nothing there" in regatta("run", "data=folder", "data.path=data/none", code=3)


def test_an_interrupted_run_ends_its_stage_and_says_so(trained: Path) -> None:
    words = [sys.executable, "-m", "pipeline.cli", "run", "train.epochs=100000", "train.save_every_s=0.1"]
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    with Path("said.txt").open("w") as said:
        process = subprocess.Popen(words, stdout=said, stderr=said, env=env, start_new_session=True)
    try:
        wait_for(lambda: "epoch 1/" in Path("said.txt").read_text())
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 143
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert "failed to reproduce 'train' (exit code 143" in Path("said.txt").read_text()
    states = [json.loads(path.read_text())["state"] for path in Path("runs").glob("*/run.json")]
    assert sorted(states) == ["finished", "stopped"]


def wait_for(happened: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_artifacts_of_a_study_that_is_no_longer_defined_go(trained: Path) -> None:
    values = read_values()
    assert values is not None
    assert clear_old_studies(values) == []
    values["study"]["definitions"] = {}
    [line] = clear_old_studies(values)
    assert line.startswith("artifacts/study/tiny: removed")
    assert [path.name for path in Path("artifacts/study").iterdir()] == [".gitkeep"]


def test_a_project_without_artifacts_has_no_results_to_tell(project: Path) -> None:
    assert summary(["prepare"]) == []
    assert summary([]) == ["Nothing had to be run again."]


@pytest.mark.parametrize(("option", "name"), [("--fresh", "REGATTA_FRESH"), ("--accept-code", "REGATTA_ACCEPT_CODE")])
def test_the_train_stage_is_told_by_its_environment(monkeypatch: pytest.MonkeyPatch, option: str, name: str) -> None:
    monkeypatch.setenv(name, "")
    pass_on(cli.parsed(["run", option]))
    assert os.environ[name] == "1"
