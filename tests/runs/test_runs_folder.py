"""A run's folder: what is torn in it is named and made again, or stops the run."""

import dataclasses
import json

import pytest
from run_helpers import damage, interrupted, run, weights

from pipeline import artifacts
from pipeline.errors import ConfigError, StorageError
from pipeline.runs.find import Asked
from pipeline.runs.state import Progress
from pipeline.train import fit as fit_module


@pytest.mark.parametrize("how", ["flipped", 0.0, 0.1, 0.5, 0.99])
def test_a_damaged_state_is_named_and_the_one_before_it_taken(digits, how, capsys):
    folder = interrupted(digits)
    whole = weights(folder)
    damage(folder.state, how)
    (folder.path / "best.safetensors").unlink()
    assert run(digits)[0] == folder
    assert "state.safetensors: " in capsys.readouterr().out
    assert all((weights(folder)[name] == array).all() for name, array in whole.items())


@pytest.mark.parametrize("how", [0.0, 0.1, 0.5, 0.99, "garbage", "gone"])
def test_a_torn_record_of_an_unfinished_run_is_taken_from_its_state(digits, how, capsys):
    folder = interrupted(digits)
    whole, record = weights(folder), folder.path / "run.json"
    if how == "gone":
        record.unlink()
    elif how == "garbage":
        record.write_bytes(b"\xff\x00garbage")
    else:
        damage(record, how)
    assert run(digits)[0] == folder
    assert "run.json: " in capsys.readouterr().out
    assert folder.read()["state"] == "finished"
    assert folder.read()["restarts"] == 1, "it went on"
    assert all((weights(folder)[name] == array).all() for name, array in whole.items())


def test_neither_record_nor_state_whole_stops_and_says_what_to_do(digits):
    folder = interrupted(digits)
    for path in (*folder.states, folder.path / "run.json"):
        damage(path, 0.5)
    with pytest.raises(StorageError, match=r"neither run.json nor a saved state is whole.*--fresh"):
        run(digits)
    assert run(digits, Asked(fresh="a word"))[0] != folder


@pytest.mark.parametrize("name", ["metrics.jsonl", "best.safetensors", "run.json"])
@pytest.mark.parametrize("how", [0.0, 0.4, "line"])
def test_a_torn_file_of_a_finished_run_is_made_again_from_its_state(digits, name, how, capsys):
    folder, _ = run(digits)
    whole, rows = weights(folder), artifacts.read_jsonl(folder.metrics)
    if how == "line":
        (folder.path / name).write_bytes(b"".join((folder.path / name).read_bytes().splitlines(keepends=True)[:-1]))
    else:
        damage(folder.path / name, how)
    assert run(digits)[0] == folder
    assert f"{name}: " in capsys.readouterr().out
    assert artifacts.read_jsonl(folder.metrics) == rows
    assert all((weights(folder)[key] == array).all() for key, array in whole.items())
    assert folder.is_whole()


def test_a_refused_run_leaves_no_empty_folder(digits, monkeypatch):
    def refuse(*_):
        raise ConfigError("refused")

    monkeypatch.setattr(fit_module, "Training", refuse)
    with pytest.raises(ConfigError):
        run(digits)
    assert list(artifacts.runs_root().iterdir()) == []


def test_where_no_state_is_whole_nothing_starts_from_scratch_unasked(digits):
    folder = interrupted(digits)
    for state in folder.states:
        damage(state, 0.5)
    with pytest.raises(StorageError, match=r"(?s)neither it nor the state before it is whole.*--fresh"):
        run(digits)


def test_a_state_counts_the_records_and_holds_them_at_the_end_alone(digits):
    folder = interrupted(digits)
    rows = artifacts.read_jsonl(folder.metrics)
    unfinished, before = (artifacts.load_tensors(path)[1] for path in folder.states)
    assert unfinished["num_rows"] == before["num_rows"] == [len(rows)] == [9]
    assert "records" not in unfinished
    assert before["records"] == rows


def test_records_after_the_last_save_are_cut_and_come_again_as_they_were(digits):
    folder = interrupted(digits)
    rows = artifacts.read_jsonl(folder.metrics)
    with folder.metrics.open("a") as file:
        file.write(json.dumps({**rows[-1], "epoch": 4}) + "\n" + "{torn")
    assert run(digits)[0] == folder
    assert artifacts.read_jsonl(folder.metrics) == rows


@pytest.mark.parametrize("how", [0.0, 0.4, 0.99])
def test_torn_records_of_an_unfinished_run_are_named_and_nothing_goes_on_without_them(digits, how):
    folder = interrupted(digits)
    damage(folder.metrics, how)
    left = folder.metrics.read_bytes()
    with pytest.raises(StorageError, match=r"metrics.jsonl: holds \d whole records, and the last save counts 9.*--fresh"):
        run(digits)
    assert folder.metrics.read_bytes() == left


def test_a_state_of_an_older_version_is_read():
    rows = [{"epoch": 1, "split": split, "seconds": 2.0} for split in ("train", "train_clean", "val")]
    values = {**dataclasses.asdict(Progress.of(1)), "epoch": 1, "rows": [rows]}
    del values["num_rows"], values["step_seconds"]
    progress = Progress.read(values)
    assert (progress.epoch, progress.num_rows, progress.step_seconds) == (1, [3], 2.0)
