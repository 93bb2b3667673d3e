from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.commands.runs import table

Command = Callable[..., str]


def the_run() -> Path:
    [run] = Path("runs").glob("2*")
    return run


def test_the_table_has_results_and_what_differs(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["runs"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["run", "state", "started"]
    accuracy = json.loads(Path("artifacts/evaluate/metrics.json").read_text())["accuracy"]
    assert line.startswith(f"* {the_run().name}  finished")
    assert f"{accuracy:.4f}" in line
    assert "prepare.limit=300" in line


def test_no_runs_yet(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["runs"]) == 0
    assert "Nothing was trained here yet" in capsys.readouterr().out


def test_an_unfinished_run_and_a_torn_record_are_shown(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(the_run(), "runs/19990101-000000-00000000")
    Path("runs/19990101-000000-00000000/run.json").write_text(json.dumps({"id": "x", "state": "running"}))
    shutil.rmtree("runs/19990101-000000-00000000/kept")
    Path("runs/19990102-000000-00000000").mkdir()
    Path("runs/19990102-000000-00000000/run.json").write_text("{")
    assert cli.main(["runs"]) == 0
    said = capsys.readouterr().out
    assert "19990101-000000-00000000  running" in said
    assert "19990102-000000-00000000/run.json: not whole JSON" in said


def test_columns_are_aligned() -> None:
    assert table([["a", "bb"], ["ccc", "d"]]) == ["a    bb", "ccc  d"]


def digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_restoring_brings_configuration_and_artifacts_back(trained: Path, regatta: Command) -> None:
    first = the_run().name
    names = (
        "params.yaml",
        "dvc.lock",
        "conf/overrides.yaml",
        "artifacts/train/best.safetensors",
        "artifacts/evaluate/metrics.json",
    )
    before = {name: digest(name) for name in (*names, "artifacts/report/index.html", "artifacts/study/tiny/effects.json")}
    regatta("run", "train.seed=3", "~study.definitions.tiny")
    assert not Path("artifacts/study/tiny").exists()
    assert digest("artifacts/train/best.safetensors") != before["artifacts/train/best.safetensors"]

    said = regatta("restore", first[:17])
    assert "(was: study=none prepare.limit=300" in said
    assert {name: digest(name) for name in before} == before
    assert "Nothing had to be run again." in regatta("run")


def test_what_the_cache_no_longer_has_is_named(trained: Path, regatta: Command) -> None:
    shutil.rmtree(".dvc/cache")
    shutil.rmtree("artifacts/train")
    said = regatta("restore", the_run().name, "--force")
    assert "artifacts/train: no longer in DVC's cache" in said
    assert "artifacts/train is not that run's" in said


def test_when_conf_has_changed_the_runs_parameters_are_kept_for_repro(trained: Path, regatta: Command) -> None:
    file = Path("conf/train/default.yaml")
    file.write_text(file.read_text().replace("seed: 0", "seed: 1"))
    said = regatta("restore", the_run().name)
    assert "conf/ no longer composes to it" in said
    assert "train.seed: 0 -> 1" in said
    assert "seed: 0" in Path("params.yaml").read_text()
    assert "train.seed: 0 -> 1" in regatta("compose", code=2)


def test_restoring_asks_before_it_overwrites_an_edit(trained: Path) -> None:
    file = Path("params.yaml")
    file.write_text(file.read_text().replace("dropout: 0.2", "dropout: 0.4"))
    assert cli.main(["restore", the_run().name]) == 2
    assert "dropout: 0.4" in file.read_text()


def test_unknown_and_ambiguous_names(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["restore", "nothing"]) == 2
    shutil.copytree(the_run(), "runs/29990101-000000-00000000")
    assert cli.main(["restore", "2"]) == 2
    assert "fits " in capsys.readouterr().err


def test_a_run_without_a_lock_says_what_to_do(trained: Path, regatta: Command) -> None:
    (the_run() / "kept" / "dvc.lock").unlink()
    assert "`dvc repro` fetches or computes its artifacts" in regatta("restore", the_run().name)
