"""What a run leaves: its records, its end, its published weights."""

import json
import shutil

import pytest
import torch
from run_helpers import run
from training_helpers import program

from pipeline import artifacts, extensions
from pipeline.errors import ConfigError, NumericsError, StorageError
from pipeline.model.predictor import load_predictor
from pipeline.runs.find import all_runs
from pipeline.runs.record import MODEL_FORMAT, publish
from pipeline.train import fit as fit_module


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


def test_an_error_of_another_kind_is_in_the_record(digits, monkeypatch):
    def full(*_):
        raise StorageError("disk full")

    monkeypatch.setattr(fit_module.RunKeeper, "after_block", full)
    with pytest.raises(StorageError):
        run(digits)
    ((_, facts),) = all_runs()
    assert (facts["state"], facts["stop_reason"], facts["error"]) == ("stopped", "error", "StorageError: disk full")


def test_a_failed_run_keeps_its_records_and_is_started_again(digits):
    with pytest.raises(NumericsError):
        run(digits, train__learning_rate=1e30)
    ((folder, facts),) = all_runs()
    assert (facts["state"], facts["stop_reason"]) == ("failed", "not_finite")
    assert "not finite at epoch 1" in facts["error"]
    assert folder.state.exists()


def test_published_weights_predict_without_the_dataset(digits, tmp_path):
    folder, model = run(digits, train__epochs=8)
    publish(folder, tmp_path / "train", model, digits.manifest, program(widths=(16,)))
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
    older = {key: value for key, value in described.items() if key != "extensions"} | {"format": 1}
    (tmp_path / "train/model.json").write_text(json.dumps(older))
    assert torch.equal(load_predictor(tmp_path / "train").logits(torch.from_numpy(val.inputs.copy())), logits)
    of_one_shape = {key: value for key, value in described["input"].items() if key not in ("lengths", "windows")}
    (tmp_path / "train/model.json").write_text(json.dumps({**described, "format": 2, "input": of_one_shape}))
    assert torch.equal(load_predictor(tmp_path / "train").logits(torch.from_numpy(val.inputs.copy())), logits)
    (tmp_path / "train/model.json").write_text(json.dumps({**described, "format": 7}))
    with pytest.raises(StorageError, match="format 7, which is newer than this code"):
        load_predictor(tmp_path / "train")


def test_a_published_module_predicts_with_its_own_code_alone(digits, tmp_path, own_modules, monkeypatch):
    own = {"model__arch": "module", "model__name": "cnn", "model__keys": {"width": 4}, "model__dropout": 0.0}
    folder, model = run(digits, train__epochs=2, model__widths=[], **own)
    assert (folder.path / "code" / "extensions.py").read_bytes() == (own_modules / "extensions.py").read_bytes()
    publish(folder, tmp_path / "train", model, digits.manifest, program(module="cnn", keys={"width": 4}))
    predictor, val = load_predictor(tmp_path / "train"), digits.split("val")
    logits = predictor.logits(torch.from_numpy(val.inputs.copy()))
    losses = predictor.losses(logits, torch.from_numpy(val.labels.copy()))
    assert float(losses.mean()) == pytest.approx(folder.read()["best_val_loss"], rel=1e-6), "with its statistics"
    described = json.loads((tmp_path / "train/model.json").read_text())
    assert (described["format"], described["num_outputs"]) == (MODEL_FORMAT, 10)
    assert described["num_parameters"] == folder.read()["num_parameters"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "extensions.py").write_text((own_modules / "extensions.py").read_text() + "\nMORE = 1\n")
    monkeypatch.setattr(extensions, "_unpacked", [other])
    with pytest.raises(ConfigError, match=r"train: its extensions.py is another one than that which this process runs"):
        load_predictor(tmp_path / "train")
    shutil.rmtree(tmp_path / "train" / "code")
    with pytest.raises(StorageError, match=r"model 'cnn' was trained with an extensions.py .* put that one.* runs/.*/code"):
        load_predictor(tmp_path / "train")
