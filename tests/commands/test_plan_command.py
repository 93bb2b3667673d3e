from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline import cli
from pipeline.commands.compose import apply, change
from pipeline.commands.plan import stale_stages
from pipeline.config import read_values, with_key

# DVC's own use of pygtrie.


@pytest.fixture
def dry_run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`regatta run --dry-run` and its output."""

    def call(*words: str) -> str:
        assert cli.main(["run", "--dry-run", *words]) == 0
        return capsys.readouterr().out

    return call


@pytest.fixture
def values(trained: Path) -> dict[str, object]:
    found = read_values()
    assert found is not None
    return found


def test_what_has_run_is_up_to_date(values: dict[str, object]) -> None:
    assert stale_stages(values) == {
        name: [] for name in ("code", "prepare", "augment", "train", "evaluate", "study@tiny", "report")
    }


def test_a_changed_key_makes_its_stage_and_those_after_it_stale(values: dict[str, object]) -> None:
    found = stale_stages(with_key(values, "model.dropout", 0.5))
    assert found["prepare"] == found["augment"] == []
    assert found["train"] == ["model.dropout: 0.2 -> 0.5"]
    assert found["evaluate"] == ["it follows train"]
    assert found["study@tiny"] == ["model.dropout: 0.2 -> 0.5"]
    assert found["report"] == ["model.dropout: 0.2 -> 0.5", "it follows train, evaluate, study@tiny"]


def test_a_new_study_leaves_the_old_one_alone(values: dict[str, object]) -> None:
    more = {"question": "?", "baseline": {}, "variants": {"a": {"model.dropout": 0.1}}, "seeds": 2}
    found = stale_stages(with_key(values, "study.definitions.more", more))
    assert found["study@tiny"] == found["train"] == []
    assert found["study@more"] == ["it has never run here"]
    assert found["report"][-1] == "it follows study@more"


def test_changes_on_disk_are_named(values: dict[str, object]) -> None:
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    lock["stages"]["evaluate"]["cmd"] = "another"
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    Path("artifacts/train/run.json").write_text("{}")
    found = stale_stages(values)
    assert found["train"] == ["output artifacts/train modified"]
    assert found["evaluate"] == ["its command changed", "input artifacts/train modified", "it follows train"]


def test_the_plan_tells_sizes_time_and_memory_and_changes_nothing(trained: Path, dry_run: Callable[..., str]) -> None:
    before = {
        path: path.stat().st_mtime_ns
        for path in trained.rglob("*")
        if ".dvc" not in path.parts and not path.name.startswith(".") and path.is_file()
    }
    said = dry_run("train.epochs=30", "model.dropout=0.1")
    assert "params.yaml would change: train.epochs: 2 -> 30" in said
    assert "train      would run: model.dropout: 0.2 -> 0.1, train.epochs: 2 -> 30" in said
    assert "dataset:               19.2 kB (train 234, val 31, test 35; 1 x 8 x 8 uint8)" in said
    assert "parameters:            1,210" in said
    assert re.search(r"training time: +about \d+ (s|min), by trying some steps on this machine just now, 30 epochs", said)
    assert re.search(r"study tiny: +about \d+ s, 4 runs, 0 of them known already", said)
    assert "MB beside the libraries' own" in said or "kB beside the libraries' own" in said
    after = {path: path.stat().st_mtime_ns for path in before if path.exists()}
    assert {path for path in before if after.get(path) != before[path]} == set()


def test_a_clone_without_anything_has_a_plan(project: Path, dry_run: Callable[..., str]) -> None:
    Path("params.yaml").unlink()
    said = dry_run()
    assert "prepare    would run: it has never run here" in said
    assert "known once prepare has run" in said
    assert not Path("params.yaml").exists()


def test_a_configuration_that_the_data_refuses_is_refused(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--dry-run", "model.loss=sigmoid"]) == 2
    assert "model.loss = 'sigmoid': the data has one of" in capsys.readouterr().err


def test_one_that_is_there_already_is_said(trained: Path, dry_run: Callable[..., str]) -> None:
    apply(change(["model.loss=sigmoid"]), force=False)
    assert "training:              would be refused: model.loss = 'sigmoid'" in dry_run()


def test_a_batch_larger_than_the_data_is_said_with_what_is_taken(trained: Path, dry_run: Callable[..., str]) -> None:
    said = dry_run("train.batch_size=9999")
    assert re.search(r"batch: +train\.batch_size = 9999: (32|64) are taken, since there are \d+ training samples", said)
