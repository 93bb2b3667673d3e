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
from commands_run import STUDY

from pipeline import cli
from pipeline.artifacts import read_json, write_json
from pipeline.commands.compose import apply, change
from pipeline.commands.restore import fitting
from pipeline.commands.runs import table
from pipeline.config import Values, edited, read_values, write_params
from pipeline.overrides import Overrides, read_overrides
from pipeline.report.outdated import mark
from pipeline.report.words import columns, percent

Command = Callable[..., str]


def the_run() -> Path:
    [run] = Path("runs").glob("2*")
    return run


def test_the_table_has_data_model_results_and_what_was_overridden(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["runs"]) == 0
    head, line, *below = capsys.readouterr().out.splitlines()
    assert head.split() == ["run", "data", "model", "best", "val", "loss", "test", "state"]
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
    assert " ".join(below).split() == [
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
        "  run              data          model          best   val loss  test  state",
        "  20261126-100000  photos 1,445  cnn 32-64/128  26/40  0.0347    -     finished",
        "    model.dropout=0.5",
        "  20261126-110000  photos 1,445  cnn 32-64/128  26/40  0.0347    -     finished",
        "    train.epochs=5",
        "  20261126-120000  photos 1,445  cnn 32-64/128  26/40  0.0347    -     finished",
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
    assert first.endswith("0.0347    -     finished")
    assert "…" in first
    assert second.split()[0] == "20261126-100000-b"
    assert below[-1].endswith("and 2 more")
    assert far == "    after 12 of 40 epochs"


def test_results_of_other_weights_are_not_shown_as_a_runs_own(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(the_run() / "kept")
    path = Path("artifacts/evaluate/metrics.json")
    metrics = json.loads(path.read_text())
    cells = []
    for weights in (metrics["weights"], "another"):
        path.write_text(json.dumps({**metrics, "weights": weights}))
        cells.append(percent(metrics["accuracy"]) in said(capsys)[1])
    assert cells == [True, False]


@pytest.mark.slow
def test_settings_that_no_run_has_yet_are_told(trained: Path, regatta: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A refused dataset: the one before and its results stay, and say whose they are."""
    page, before = Path("artifacts/report/index.html"), digest("artifacts/report/index.html")
    assert "none for" in regatta("run", "prepare.limit=20", code=3)
    assert said(capsys)[-2:] == [
        "params.yaml has other settings than the run marked *; `regatta run` brings its results up to them:",
        "  prepare.limit: 300 -> 20",
    ]
    assert "This page is of an earlier run: the last one ended before it wrote its own." in page.read_text()
    dataset = json.loads(Path("artifacts/prepare/dataset.json").read_text())["digest"]
    assert json.loads(Path("artifacts/evaluate/metrics.json").read_text())["dataset"] == dataset
    assert "Running stage" not in regatta("run", "prepare.limit=300").replace("Running stage 'code'", "")
    assert digest("artifacts/report/index.html") == before


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


def test_restoring_brings_configuration_and_artifacts_back(trained: Path, command: Command) -> None:
    first = the_run().name
    names = (
        "params.yaml",
        "dvc.lock",
        "conf/overrides.yaml",
        "artifacts/train/best.safetensors",
        "artifacts/evaluate/metrics.json",
    )
    before = {name: digest(name) for name in (*names, "artifacts/report/index.html", "artifacts/study/tiny/effects.json")}
    command("run", "train.seed=3", "~study.definitions.tiny")
    assert not Path("artifacts/study/tiny").exists()
    assert digest("artifacts/train/best.safetensors") != before["artifacts/train/best.safetensors"]

    mark(Path("artifacts/report/index.html"), "It ended with exit code 3")  # as a run does that fails
    said = command("restore", first[:17])
    assert "(was: study=none prepare.limit=300" in said
    assert {name: digest(name) for name in before} == before
    assert "Nothing had to be run again." in command("run")


def test_what_the_cache_no_longer_has_is_named(trained: Path, command: Command) -> None:
    shutil.rmtree(".dvc/cache")
    shutil.rmtree("artifacts/train")
    said = command("restore", the_run().name, "--force", code=5)
    assert re.search(r"artifacts/train\S*: no longer in DVC's cache, so not brought back; .*`regatta run` computes", said)
    assert "artifacts/: those of the run" not in said


def test_when_conf_has_changed_what_the_run_had_is_overridden(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = read_values()
    change_defaults()
    assert cli.main(["restore", the_run().name]) == 0
    said = capsys.readouterr().out
    assert "conf/ is another than the run's; the overrides keep what the run had" in said
    assert read_values() == before
    assert not edited()
    assert "train.seed=0" in read_overrides().words()
    assert cli.main(["compose"]) == 0
    assert read_values() == before
    assert change([], reset=True).values["train"]["seed"] == 1


def change_defaults() -> None:
    file = Path("conf/train/default.yaml")
    file.write_text(file.read_text().replace("seed: 0", "seed: 1"))


def test_overrides_that_make_old_values_under_another_conf(project: Path) -> None:
    study = {"question": "Does it?", "baseline": {}, "variants": {"none": {"model.dropout": 0.0}}, "seeds": 2}
    old = change(["study=none", "model.widths=[16]", f"+study.definitions.tiny={STUDY}"])
    assert old.values["study"]["definitions"]["tiny"]["variants"] == study["variants"]
    change_defaults()
    overrides, made = fitting(Overrides({"study": "gone"}), old.values)
    assert made is not None
    assert {**made, "study": None} == {**old.values, "study": None}
    assert made["study"]["definitions"]["tiny"] == old.values["study"]["definitions"]["tiny"]
    assert overrides.values["train"] == {"seed": 0}
    assert fitting(overrides, {**old.values, "model": {**old.values["model"], "unknown": 1}})[1] is None


@pytest.mark.parametrize("state", ["stopped", "failed"])
def test_after_restoring_a_run_that_did_not_finish_every_run_is_taken(trained: Path, state: str) -> None:
    unfinished = Path("runs/29990101-000000-00000000")
    shutil.copytree(the_run(), unfinished)
    shutil.rmtree(unfinished / "kept")
    own = change(["model.dropout=0.4", "train.epochs=9"])
    write_params(own.values, unfinished / "params.yaml")
    (unfinished / "overrides.yaml").write_text(own.overrides.text())
    record = json.loads((unfinished / "run.json").read_text())
    (unfinished / "run.json").write_text(json.dumps({**record, "state": state, "files": {}}))

    assert cli.main(["restore", unfinished.name]) == 0
    assert read_values() == own.values
    assert apply(change([]), force=False) == [], "`regatta run` goes on with it"
    assert "params.yaml: train.epochs: 9 -> 3" in apply(change(["train.epochs=3"]), force=False)
    assert cli.main(["restore", unfinished.name]) == 0
    apply(change([], reset=True), force=False)
    assert read_overrides().words() == []
    assert not edited()


def test_a_restored_run_says_what_to_do(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (the_run() / "kept" / "dvc.lock").unlink()
    for state, what in (
        ("stopped", "goes on from its last save"),
        ("failed", "tries it again"),
        ("finished", "computes the rest"),
    ):
        record = json.loads((the_run() / "run.json").read_text())
        (the_run() / "run.json").write_text(json.dumps({**record, "state": state, "files": {}}))
        assert cli.main(["restore", the_run().name]) == 0
        assert what in capsys.readouterr().out


def test_the_code_is_compared_not_the_commit(
    trained: Path, regatta: Command, command: Command, monkeypatch: pytest.MonkeyPatch, committed: Callable[[str], None]
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # Git refuses to say a word
    assert "the code of" not in command("restore", the_run().name)
    monkeypatch.delenv("GIT_TEST_ASSUME_DIFFERENT_OWNER")
    Path("notes.md").write_text("Another commit of the same code.")
    committed("notes")
    assert "the code of" not in command("restore", the_run().name)
    with Path("pipeline/evaluation/thresholds.py").open("a") as file:
        file.write("ADDED = 1\n")
    said = regatta("restore", the_run().name)
    assert "the code of evaluate, report is not that of the run (" in said


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


@pytest.mark.parametrize("name", ["kept/dvc.lock", "kept/params.yaml", "kept/conf/overrides.yaml", "params.yaml", "run.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\x00{garbage", None])
def test_a_torn_file_of_a_run_is_named_before_anything_is_restored(
    trained: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None
) -> None:
    path = the_run() / name
    for state in the_run().glob("state*"):
        state.unlink()  # it has the record, too
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    before = {name: digest(name) for name in ("params.yaml", "dvc.lock", "conf/overrides.yaml")}
    assert cli.main(["restore", the_run().name, "--force"]) == 5
    assert f"{the_run()}/{name}: " in capsys.readouterr().err
    assert {name: digest(name) for name in before} == before
    assert cli.main(["runs"]) == 0
