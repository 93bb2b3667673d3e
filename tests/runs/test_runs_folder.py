"""A run's folder: what is torn in it is named and made again, or stops the run."""

import pytest
from run_helpers import damage, interrupted, run, weights

from pipeline import artifacts
from pipeline.errors import ConfigError, StorageError
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


def test_neither_record_nor_state_whole_stops_and_says_what_to_do(digits, monkeypatch):
    folder = interrupted(digits)
    for path in (*folder.states, folder.path / "run.json"):
        damage(path, 0.5)
    with pytest.raises(StorageError, match=r"neither run.json nor a saved state is whole.*--fresh"):
        run(digits)
    monkeypatch.setenv("REGATTA_FRESH", "a word")
    assert run(digits)[0] != folder


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
