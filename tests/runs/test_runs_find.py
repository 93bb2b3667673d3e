"""Runs found again: finished, interrupted, longer, under other code, by name."""

import dataclasses

import pytest
from run_helpers import identity_of, interrupted, run, weights
from training_helpers import untimed

from pipeline import artifacts
from pipeline.errors import ConfigError
from pipeline.runs.find import Asked, all_runs, find_run, run_named
from pipeline.train import fit as fit_module


def test_a_finished_run_is_not_computed_again(digits, monkeypatch):
    first, _ = run(digits)
    monkeypatch.setattr(fit_module, "_train", lambda *_: pytest.fail("trained again"))
    second, _ = run(digits)
    assert second == first
    assert len(all_runs()) == 1


def test_another_seed_is_another_run(digits):
    assert run(digits)[0] != run(digits, train__seed=1)[0]
    assert len(all_runs()) == 2


def test_more_epochs_go_on_where_the_run_ended(digits):
    """Exactly: the constant schedule does not depend on the number of epochs, so it is the same run, only longer."""
    short, _ = run(digits, train__schedule="constant")
    longer, _ = run(digits, train__schedule="constant", train__epochs=6)
    assert longer.read()["continued_from"] == short.id
    for path in (short.path, longer.path):
        (path / "state.safetensors").unlink()
    whole, _ = run(digits, train__schedule="constant", train__epochs=6)
    assert whole.read()["continued_from"] is None
    assert all((weights(longer)[name] == array).all() for name, array in weights(whole).items())


def test_a_run_that_stopped_early_is_not_longer_with_more_epochs(digits, monkeypatch, tmp_path):
    """As a fresh clone would find: the identity of a run decides its weights."""
    changes = {"train__schedule": "constant", "train__early_stop": 1, "train__learning_rate": 0.05}
    run(digits, train__epochs=30, **changes)
    longer, _ = run(digits, train__epochs=31, **changes)
    monkeypatch.setenv("REGATTA_RUNS", str(tmp_path / "elsewhere"))
    fresh, _ = run(digits, train__epochs=31, **changes)
    assert (longer.read()["continued_from"], fresh.read()["continued_from"]) != (None, None)
    assert longer.read()["stop_reason"] == fresh.read()["stop_reason"] == "early_stop"
    assert longer.read()["num_epochs"] == fresh.read()["num_epochs"] < 30
    assert all((weights(longer)[name] == array).all() for name, array in weights(fresh).items())


def test_a_fresh_start_continues_nothing(digits):
    run(digits, train__schedule="constant")
    again = run(digits, Asked(fresh="1"), train__schedule="constant", train__epochs=6)[0]
    assert again.read()["continued_from"] is None


def test_a_record_that_cannot_be_read_stops_nothing(digits, capsys):
    for name, text in (("torn", "{"), ("strange", "{}")):
        (artifacts.runs_root() / name).mkdir(parents=True)
        (artifacts.runs_root() / name / "run.json").write_text(text)
    run(digits)
    assert "torn/run.json: not whole JSON" in capsys.readouterr().out


def test_a_schedule_that_depends_on_the_length_starts_again(digits):
    run(digits)
    assert run(digits, train__epochs=6)[0].read()["continued_from"] is None


def test_other_code_is_not_resumed_unasked(digits):
    folder = interrupted(digits)
    folder.write(hashes={**folder.read()["hashes"], "code": "old", "run": "old"})
    with pytest.raises(ConfigError, match="--accept-code"):
        run(digits)
    assert run(digits, Asked(accept_code=True))[0] == folder
    assert folder.read()["accepted_code"] == ["old"]


def test_a_fresh_start_keeps_the_old_folder(digits):
    folder = interrupted(digits)
    folder.write(id="older")
    folder.path.rename(folder.path.with_name("20000101-000000-older"))
    run(digits, Asked(fresh="1"))
    assert len(all_runs()) == 2


def test_a_fresh_start_that_was_ended_goes_on_as_such(digits):
    older, _ = run(digits)
    word = Asked(fresh="a word")
    fresh, todo = find_run(identity_of(older), word)
    assert todo == "new"
    fresh.path.mkdir()
    fresh.write(**older.read() | {"id": fresh.id, "state": "running", "fresh": "a word"})
    assert find_run(identity_of(older), word) == (fresh, "new")  # in its folder, since nothing was saved
    artifacts.save_tensors(fresh.state, *older.load_state())
    assert find_run(identity_of(older), word) == (fresh, "resume")
    assert find_run(identity_of(older), Asked(fresh="another"))[0] not in (older, fresh)
    assert find_run(identity_of(older)) == (fresh, "resume")


def test_a_run_that_was_ended_before_it_saved_begins_in_its_folder(digits):
    folder = interrupted(digits)
    for state in folder.states:
        state.unlink()
    assert run(digits, Asked(lost="its cluster has gone"))[0] == folder
    assert len(all_runs()) == 1
    facts = folder.read()
    assert facts["restarts"] == 1
    assert [(lost["reason"], lost["epoch"]) for lost in facts["interruptions"]] == [("its cluster has gone", 0)]
    assert untimed(artifacts.read_jsonl(folder.metrics))[-1]["epoch"] == folder.read()["num_epochs"]


def test_data_decides_the_run(digits):
    other = dataclasses.replace(digits, manifest=dataclasses.replace(digits.manifest, digest="other"))
    assert run(digits)[0] != run(other)[0]


def test_a_name_fits_a_run_whose_name_begins_another(tmp_path):
    for name in ("20260101-000000-aaaaaaaa", "20260101-000000-aaaaaaaa-2", "20270101-000000-bbbbbbbb"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").write_text("{")
    assert run_named("20260101-000000-aaaaaaaa").id == "20260101-000000-aaaaaaaa"
    assert run_named("20260101-000000-aaaaaaaa-").id == "20260101-000000-aaaaaaaa-2"
    assert run_named("2027").id == "20270101-000000-bbbbbbbb"
    with pytest.raises(ConfigError, match="2026: fits 20260101-000000-aaaaaaaa, 20260101-000000-aaaaaaaa-2; `regatta runs`"):
        run_named("2026")
    with pytest.raises(ConfigError, match="1999: is no run of this project"):
        run_named("1999")
