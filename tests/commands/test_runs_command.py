from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import cli
from pipeline.artifacts import read_json, write_json
from pipeline.commands.runs import table
from pipeline.config import Values
from pipeline.report.words import columns

Command = Callable[..., str]


def the_run() -> Path:
    [run] = Path("runs").glob("2*")
    return run


def test_the_table_has_data_model_results_and_what_was_overridden(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["runs"]) == 0
    head, line, below = capsys.readouterr().out.splitlines()
    assert head.split() == ["run", "data", "model", "best", "val", "loss", "test", "acc", "state"]
    accuracy = read_json(Path("artifacts/evaluate/metrics.json"))["accuracy"]
    record = read_json(the_run() / "run.json")
    assert re.split("  +", line) == [
        f"* {the_run().name[:15]}",
        f"digits {record['num_train']}",
        "dnn 16",
        f"{record['best_epoch']}/2",
        f"{record['best_val_loss']:.4f}",
        f"{100 * accuracy:.1f}%",
        "finished",
    ]
    assert below.split() == [
        "prepare.limit=300",
        "augment.views=1",
        "model.widths=[16]",
        "train.epochs=2",
        "train.batch_size=32",
    ]


def write_run(name: str, words: str = "", values: Values | None = None, **record: Any) -> Path:
    """A made-up run that has finished, but for what is said."""
    folder = Path("runs") / name
    folder.mkdir(parents=True)
    hashes = {"dataset": "d1" * 16, "code": "c1" * 16, **record.pop("hashes", {})}
    known = {"id": name, "state": "finished", "stop_reason": "epochs", "num_train": 1445, "num_epochs": 40, "max_epochs": 40}
    write_json(folder / "run.json", {**known, "best_epoch": 26, "best_val_loss": 0.03466, "hashes": hashes, **record})
    given: Values = {"data": {"source": "folder", "path": "data/photos"}, "study": {"on_run": None}}
    given |= {"model": {"arch": "cnn", "channels": [32, 64], "widths": [128]}, "train": {"epochs": 40}}
    (folder / "params.yaml").write_text(yaml.safe_dump(given | (values or {}), sort_keys=False))
    sections: Values = {}
    for word in words.split():
        key, value = word.split("=")
        section, _, leaf = key.partition(".")
        sections.setdefault(section, {})[leaf] = yaml.safe_load(value)
    (folder / "overrides.yaml").write_text(yaml.safe_dump(sections))
    return folder


def said(capsys: pytest.CaptureFixture[str], width: int = 100) -> list[str]:
    os.environ["COLUMNS"] = str(width)
    assert cli.main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(columns, lines)) <= width
    return lines


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project without runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("REGATTA_RUNS", raising=False)
    for name in ("pipeline", "conf"):
        Path(name).mkdir()
    for name in ("params.yaml", "dvc.yaml", "conf/config.yaml"):
        Path(name).touch()


@pytest.mark.usefixtures("empty")
def test_below_a_run_stands_what_not_all_have(capsys: pytest.CaptureFixture[str]) -> None:
    write_run("20261126-100000-aaaaaaaa", "prepare.limit=300 model.dropout=0.5")
    write_run("20261126-110000-bbbbbbbb", "prepare.limit=300 train.epochs=5 tracking.mode=disabled")
    write_run("20261126-120000-cccccccc", "prepare.limit=300")
    assert said(capsys) == [
        "  run              data          model          best   val loss  test acc  state",
        "  20261126-100000  photos 1,445  cnn 32-64/128  26/40  0.0347    -         finished",
        "    model.dropout=0.5",
        "  20261126-110000  photos 1,445  cnn 32-64/128  26/40  0.0347    -         finished",
        "    train.epochs=5",
        "  20261126-120000  photos 1,445  cnn 32-64/128  26/40  0.0347    -         finished",
        "  all of them: prepare.limit=300",
    ]


@pytest.mark.usefixtures("empty")
def test_runs_of_the_same_overrides_are_told_apart_by_their_keys_code_and_data(capsys: pytest.CaptureFixture[str]) -> None:
    write_run("20261126-100000-aaaaaaaa")
    write_run("20261126-110000-bbbbbbbb", values={"train": {"epochs": 5, "limit": None, "betas": [0.9, 0.99]}})
    write_run("20261126-120000-cccccccc", "train.seed=3", hashes={"dataset": "e2" * 16})
    write_run("20261126-130000-dddddddd", "train.seed=3", hashes={"dataset": "e2" * 16, "code": "f3" * 16})
    lines = said(capsys)
    assert [line.split()[2:4] for line in lines if "photos" in line] == [
        ["1,445", mark] for mark in ("d1d1", "d1d1", "e2e2", "e2e2")
    ]
    assert [line.strip() for line in lines if "=" in line] == [
        "train.epochs=40",
        "train.epochs=5 train.betas=[0.9,0.99]",
        "train.seed=3 code=c1c1c1c1",
        "train.seed=3 code=f3f3f3f3",
    ]


@pytest.mark.usefixtures("empty")
def test_a_run_that_did_not_finish_says_how_far_it_came_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    error = "train.learning_rate = 100.0: the loss of the training is not finite at epoch 4; lower it, " * 2
    write_run("20261126-100000-aaaaaaaa", state="failed", stop_reason="not_finite", error=error.strip(), num_epochs=3)
    write_run("20261126-110000-bbbbbbbb", state="stopped", stop_reason="signal", error="stopped by SIGTERM", num_epochs=7)
    write_run("20261126-120000-cccccccc", state="stopped", stop_reason="error", error="StorageError: disk full", num_epochs=9)
    for name, process in (("20261126-130000-dddddddd", os.getpid()), ("20261126-140000-eeeeeeee", 2**22 + 1)):
        folder = write_run(name, state="running", num_epochs=12, best_epoch=None, best_val_loss=None)
        (folder / ".lock").write_text(f"process {process} on {os.uname().nodename}\n")
    lines = said(capsys)
    states = [line.split()[-1] for line in lines if "photos" in line]
    assert states == ["failed", "stopped", "failed", "running", "unfinished"]
    text = " ".join(" ".join(lines).split())
    assert f"after 3 of 40 epochs: {error.strip()} 2026" in text
    assert "after 7 of 40 epochs 2026" in text
    assert "after 9 of 40 epochs: StorageError: disk full 2026" in text
    assert text.count("after 12 of 40 epochs") == 2


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.usefixtures("empty")
def test_it_fits_the_terminal(capsys: pytest.CaptureFixture[str], width: int) -> None:
    data = {"source": "folder", "path": "data/" + "葡萄品種の写真" * 6}
    model = {"arch": "cnn", "channels": [64] * 12, "widths": [1024] * 4}
    words = " ".join(f"model.a_key_with_a_rather_long_name_{i}={i}" for i in range(14))
    write_run("20261126-100000-aaaaaaaa", words, {"data": data, "model": model})
    write_run("20261126-100000-bbbbbbbb", state="running", num_epochs=12)
    _, first, *below, second, far = said(capsys, width)
    assert first.endswith("0.0347    -         finished")
    assert "…" in first
    assert second.split()[0] == "20261126-100000-b"
    assert below[-1].endswith("and 2 more")
    assert far == "    after 12 of 40 epochs"


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
    assert re.search("19990101-000000 +digits +dnn 16 +-/- +- +- +unfinished\n", said)
    assert "    after 0 of ? epochs" in said
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
