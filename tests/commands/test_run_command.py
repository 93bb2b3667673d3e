from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline import cli
from pipeline.commands.compose import apply, change
from pipeline.commands.run import clear_old_studies, pass_on, summary, unwatched
from pipeline.config import read_values
from pipeline.report.summary import summary_lines

Command = Callable[..., str]


def test_everything_ran_and_a_second_time_nothing_does(trained: Path, regatta: Command) -> None:
    said = regatta("run")
    assert "Nothing had to be run again." in said
    expected = summary_lines(Path("artifacts"))
    *lines, last = said.splitlines()[-len(expected) - 1 :]
    assert lines == expected
    assert last == "The report is artifacts/report/index.html"
    assert Path("artifacts/report/index.html").exists()


@pytest.mark.slow
def test_a_fresh_run_trains_again_what_is_up_to_date_to_the_same_weights(trained: Path, regatta: Command) -> None:
    weights = Path("artifacts/train/best.safetensors").read_bytes()
    said = regatta("run", "--fresh")
    assert re.findall(r"Running stage '([\w@]+)'", said) == ["train", "evaluate", "report"]
    assert len(list(Path("runs").glob("2*"))) == 2
    assert Path("artifacts/train/best.safetensors").read_bytes() == weights


def test_a_run_keeps_what_brings_it_back(trained: Path) -> None:
    [run] = Path("runs").glob("2*")
    kept = sorted(path.relative_to(run / "kept").as_posix() for path in (run / "kept").rglob("*") if path.is_file())
    assert kept == [
        "artifacts/evaluate/metrics.json",
        "artifacts/study/tiny/effects.json",
        "conf/overrides.yaml",
        "dvc.lock",
        "params.yaml",
        "sha256.json",
    ]


def test_overrides_stay_until_reset(project: Path) -> None:
    apply(change(["model.dropout=0.5", "augment=none"]), force=False)
    stayed = change(["train.epochs=3"])
    assert stayed.overrides.words() == ["augment=none", "model.dropout=0.5", "train.epochs=3"]
    assert (stayed.values["model"]["dropout"], stayed.values["train"]["epochs"]) == (0.5, 3)
    assert change(["train.epochs=3"], reset=True).overrides.words() == ["train.epochs=3"]
    assert change([], reset=True).values["model"]["dropout"] == 0.2


def test_all_mistakes_are_said_and_nothing_is_written(project: Path, command: Command) -> None:
    before = {path: path.read_bytes() for path in (Path("params.yaml"), Path("conf/overrides.yaml"))}
    said = command("run", "model.dropuot=0.5", "train.epochs=x", "data=folder", code=2)
    assert "model.dropuot: unknown key (value 0.5); did you mean model.dropout?" in said
    assert "train.epochs = 'x': should be a valid integer" in said
    assert "data.path" in said
    assert {path: path.read_bytes() for path in before} == before


def test_a_stages_exit_code_is_that_of_the_command(project: Path, regatta: Command) -> None:
    said = regatta("run", "prepare.limit=20", code=3)
    assert "none for val" in said
    assert "failed to reproduce 'prepare' (exit code 3, its message is above); DVC has kept nothing of it" in said
    assert not Path("artifacts/prepare").exists()
    assert "prepare" not in yaml.safe_load(Path("dvc.lock").read_text())["stages"]


def test_what_dvc_does_not_see_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("elsewhere/cats", "data/photos/dogs"):
        Path(folder).mkdir(parents=True)
    Path("data/labels.csv").write_text("image,label\n")
    values = {"data": {"source": "folder", "path": "data/photos", "train_path": "data/photos"}}
    values["data"] |= dict.fromkeys(("val_path", "test_path", "synonyms"), "conf/data/folder.yaml")
    assert unwatched(values) == []
    Path("data/photos/cats").symlink_to(tmp_path / "elsewhere/cats")
    [line] = unwatched(values)
    assert "1 link to folders in it (data/photos/cats, ...)" in line
    values["data"] |= {"source": "csv", "path": "data/labels.csv", "train_path": "conf/data/csv.yaml"}
    [line] = unwatched(values)
    assert line.startswith("data.path = data/labels.csv: DVC watches the table alone")


def test_a_second_run_in_one_project_is_refused(project: Path, regatta: Command) -> None:
    with Path("artifacts/.run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "held by" in regatta("run", code=6)


def test_missing_data_is_said_before_anything_runs(project: Path, command: Command) -> None:
    before = Path("conf/overrides.yaml").read_text()
    assert "data.path = data/none: nothing there" in command("run", "data=folder", "data.path=data/none", code=3)
    assert Path("conf/overrides.yaml").read_text() == before


@pytest.mark.parametrize("how", [[], ["--dry-run"]])
def test_names_that_dvc_can_not_record_are_said_before_anything_runs(project: Path, command: Command, how: list[str]) -> None:
    Path("data/food", os.fsdecode(b"K\xe4se")).mkdir(parents=True)
    Path("data/food", os.fsdecode(b"K\xe4se"), "1.png").touch()
    said = command("run", *how, "data=folder", "data.path=data/food", code=3)
    assert said.splitlines()[-1].startswith("regatta: data.path = data/food: K\\xe4se/1.png: not a name in UTF-8")
    assert not Path("dvc.lock").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "whole_group", "code"),
    [(signal.SIGINT, True, 130), (signal.SIGINT, False, 130), (signal.SIGTERM, False, 143), (signal.SIGHUP, True, 143)],
)
def test_an_interrupted_run_lets_its_stage_save_and_says_so(
    trained: Path, number: signal.Signals, whole_group: bool, code: int
) -> None:
    words = [sys.executable, "-m", "pipeline.cli", "run", "train.epochs=100000", "train.save_every_s=0.1"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with Path("said.txt").open("w") as said:
        process = subprocess.Popen(words, stdout=said, stderr=said, env=env, start_new_session=True)
    try:
        wait_for(lambda: "epoch 1/" in Path("said.txt").read_text())
        (os.killpg if whole_group else os.kill)(process.pid, number)
        assert process.wait(60) == code
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert "failed to reproduce 'train' (exit code 1" in Path("said.txt").read_text()
    states = [json.loads(path.read_text())["state"] for path in Path("runs").glob("2*/run.json")]
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
    assert os.environ[name]
