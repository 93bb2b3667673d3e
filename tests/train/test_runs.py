"""Runs found again: finished, interrupted, longer, under other code."""

import dataclasses
import json

import pytest
import torch
from test_program import configs
from training_helpers import NONE, untimed

from pipeline import artifacts
from pipeline.errors import ConfigError, NumericsError, StorageError
from pipeline.model.predictor import load_predictor
from pipeline.train import fit as fit_module
from pipeline.train.fit import fit
from pipeline.train.identity import Identity
from pipeline.train.record import publish
from pipeline.train.runs import all_runs, find_run


class NoTracker:
    def log(self, epoch, rows):
        pass

    def finish(self, summary, exit_code):
        self.summary = summary


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGATTA_RUNS", raising=False)


def run(data, **changes):
    small = {
        "train__epochs": 3,
        "model__widths": [16],
        "train__save_every_s": 0.0,
        "train__threads": 1,
        "train__warmup_epochs": 1.0,
    }
    model, train = configs(**(small | changes))
    return fit(model, train, data, NONE, lambda folder: NoTracker()), model


def identity_of(folder):
    return Identity(**folder.read()["hashes"])


def weights(folder):
    return artifacts.load_tensors(folder.path / "best.safetensors")[0]


def test_a_finished_run_is_not_computed_again(digits, monkeypatch):
    first, _ = run(digits)
    monkeypatch.setattr(fit_module, "_trained", lambda *_: pytest.fail("trained again"))
    second, _ = run(digits)
    assert second == first
    assert len(all_runs()) == 1


def test_another_seed_is_another_run(digits):
    assert run(digits)[0] != run(digits, train__seed=1)[0]
    assert len(all_runs()) == 2


def test_records(digits):
    folder, _ = run(digits)
    rows = artifacts.read_jsonl(folder.metrics)
    assert [(row["epoch"], row["split"]) for row in rows] == [
        (e, s) for e in (1, 2, 3) for s in ("train", "train_clean", "val")
    ]
    facts = folder.read()
    losses = [row["loss"] for row in rows if row["split"] == "val"]
    assert facts["best_val_loss"] == min(losses)
    assert facts["best_epoch"] == 1 + losses.index(min(losses))
    assert (facts["state"], facts["stop_reason"], facts["restarts"], facts["num_epochs"]) == ("finished", "epochs", 0, 3)


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


def test_a_fresh_start_continues_nothing(digits, monkeypatch):
    run(digits, train__schedule="constant")
    monkeypatch.setenv("REGATTA_FRESH", "1")
    assert run(digits, train__schedule="constant", train__epochs=6)[0].read()["continued_from"] is None


def test_an_error_of_another_kind_is_in_the_record(digits, monkeypatch):
    def full(*_):
        raise StorageError("disk full")

    monkeypatch.setattr(fit_module.RunKeeper, "after_step", full)
    with pytest.raises(StorageError):
        run(digits)
    ((_, facts),) = all_runs()
    assert (facts["state"], facts["stop_reason"], facts["error"]) == ("stopped", "error", "StorageError: disk full")


def test_a_record_that_cannot_be_read_stops_nothing(digits, capsys):
    for name, text in (("torn", "{"), ("strange", "{}")):
        (artifacts.runs_root() / name).mkdir(parents=True)
        (artifacts.runs_root() / name / "run.json").write_text(text)
    run(digits)
    assert "torn/run.json: not whole JSON" in capsys.readouterr().out


def test_a_schedule_that_depends_on_the_length_starts_again(digits):
    run(digits)
    assert run(digits, train__epochs=6)[0].read()["continued_from"] is None


def interrupted(digits):
    """With its last two states, as a run has that was killed after its last epoch."""
    folder, _ = run(digits)
    folder.save_state(*folder.load_state())
    folder.write(state="running")
    return folder


def test_other_code_is_not_resumed_unasked(digits, monkeypatch):
    folder = interrupted(digits)
    folder.write(hashes={**folder.read()["hashes"], "code": "old", "run": "old"})
    with pytest.raises(ConfigError, match="--accept-code"):
        run(digits)
    monkeypatch.setenv("REGATTA_ACCEPT_CODE", "1")
    assert run(digits)[0] == folder
    assert folder.read()["accepted_code"] == ["old"]


def test_a_fresh_start_keeps_the_old_folder(digits, monkeypatch):
    folder = interrupted(digits)
    folder.write(id="older")
    folder.path.rename(folder.path.with_name("20000101-000000-older"))
    monkeypatch.setenv("REGATTA_FRESH", "1")
    run(digits)
    assert len(all_runs()) == 2


def test_a_fresh_start_that_was_ended_goes_on_as_such(digits, monkeypatch):
    older, _ = run(digits)
    monkeypatch.setenv("REGATTA_FRESH", "a word")
    fresh, todo = find_run(identity_of(older))
    assert todo == "new"
    fresh.path.mkdir()
    fresh.write(**older.read() | {"id": fresh.id, "state": "running", "fresh": "a word"})
    assert find_run(identity_of(older)) == (fresh, "new")  # in its folder, since nothing was saved
    artifacts.save_tensors(fresh.state, *older.load_state())
    assert find_run(identity_of(older)) == (fresh, "resume")
    monkeypatch.setenv("REGATTA_FRESH", "another")
    assert find_run(identity_of(older))[0] not in (older, fresh)
    monkeypatch.delenv("REGATTA_FRESH")
    assert find_run(identity_of(older)) == (fresh, "resume")


def test_a_run_that_was_ended_before_it_saved_begins_in_its_folder(digits, monkeypatch):
    folder = interrupted(digits)
    for state in folder.states:
        state.unlink()
    monkeypatch.setenv("REGATTA_LOST", "its cluster has gone")
    assert run(digits)[0] == folder
    assert len(all_runs()) == 1
    facts = folder.read()
    assert facts["restarts"] == 1
    assert [(lost["reason"], lost["epoch"]) for lost in facts["interruptions"]] == [("its cluster has gone", 0)]
    assert untimed(artifacts.read_jsonl(folder.metrics))[-1]["epoch"] == folder.read()["num_epochs"]


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes(content if how == "flipped" else content[: int(how * len(content))])


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


def test_a_failed_run_keeps_its_records_and_is_started_again(digits):
    with pytest.raises(NumericsError):
        run(digits, train__learning_rate=1e30)
    ((folder, facts),) = all_runs()
    assert (facts["state"], facts["stop_reason"]) == ("failed", "not_finite")
    assert "not finite at epoch 1" in facts["error"]
    assert folder.state.exists()


def test_cuda_where_there_is_none_is_an_error(digits):
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no CUDA device"):
            run(digits, train__device="cuda")


def test_published_weights_predict_without_the_dataset(digits, tmp_path):
    folder, model = run(digits, train__epochs=8)
    publish(folder, tmp_path / "train", model, digits.manifest, "softmax")
    predictor = load_predictor(tmp_path / "train")
    val = digits.split("val")
    logits = predictor.logits(torch.from_numpy(val.inputs.copy()))
    labels = torch.from_numpy(val.labels.copy())
    assert float(predictor.losses(logits, labels).mean()) == pytest.approx(folder.read()["best_val_loss"], rel=1e-6)
    assert predictor.classes == digits.manifest.classes
    torch.testing.assert_close(predictor.probabilities(logits).sum(1), torch.ones(len(val)))
    described = json.loads((tmp_path / "train/model.json").read_text())
    (tmp_path / "train/model.json").write_text(json.dumps({**described, "weights_sha256": "0"}))
    with pytest.raises(StorageError, match="not the weights that"):
        load_predictor(tmp_path / "train")


def test_data_decides_the_run(digits):
    other = dataclasses.replace(digits, manifest=dataclasses.replace(digits.manifest, digest="other"))
    assert run(digits)[0] != run(other)[0]
