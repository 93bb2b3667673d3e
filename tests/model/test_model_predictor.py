"""Predicting from `model.json` and weights alone, on samples of rows of different lengths and of several windows."""

import shutil

import numpy as np
import pytest
import torch
from run_helpers import configs, run
from series_samples import OWN, built, write_series

from pipeline import extensions
from pipeline.errors import DataError, StorageError
from pipeline.model.predictor import load_predictor
from pipeline.prediction.split import predict
from pipeline.runs.record import publish
from pipeline.train.program import program_of

POOLED = {"model__arch": "module", "model__name": "pooled", "model__widths": [], "model__dropout": 0.0}
DENSE = {"model__widths": [8]}


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Of series in a form, trained and published: the dataset, the folder and the run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / extensions.FILE).write_bytes(OWN.read_bytes())
    monkeypatch.setattr(extensions, "_unpacked", [tmp_path / "own"])

    def make(form):
        data = built(write_series(tmp_path / "series.parquet", 120), tmp_path / "data", form)
        network = POOLED if data.manifest.lengths else DENSE
        folder, model = run(data, train__epochs=2, train__batch_size=20, **network)
        train = configs(**network, train__batch_size=20)[1]
        publish(folder, tmp_path / "train", model, data.manifest, program_of(model, train, data.manifest)[0])
        return data, tmp_path / "train", folder

    return make


def samples_of(data, split):
    """Each sample as a user has it: a row, or a list of its rows."""
    found = []
    for i in range(len(split)):
        rows = split.stored.taken(split.rows_of(np.array([i])))
        parts = rows.values if rows.offsets is None else np.split(rows.values, rows.offsets[1:-1])
        own = [torch.from_numpy(np.array(part)) for part in parts]
        found.append(own if data.manifest.windows else own[0])
    return found


@pytest.mark.parametrize("form", ["ragged windows", "ragged", "windows", "plain"])
def test_it_answers_as_training_and_evaluation_do(published, form):
    data, path, folder = published(form)
    predictor, val = load_predictor(path), data.split("val")
    samples = samples_of(data, val)
    logits = predictor.logits(samples)
    losses = predictor.losses(logits, torch.from_numpy(np.array(val.labels)))
    assert float(losses.mean()) == pytest.approx(folder.read()["best_val_loss"], rel=1e-5)
    probabilities, loss = predict(predictor, val, 7)
    assert loss == pytest.approx(float(losses.mean()), rel=1e-5)
    torch.testing.assert_close(predictor.probabilities(logits), torch.from_numpy(probabilities), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(predictor.logits(samples[5:6])[0], logits[5], rtol=1e-5, atol=1e-5)


def test_samples_that_are_none_are_refused(published):
    predictor = load_predictor(published("ragged windows")[1])
    row = torch.zeros(4)
    assert predictor.logits([[row, row[:1]], [row]]).shape == (2, 1)
    with pytest.raises(DataError, match=r"sample 1 has no rows; at least one is needed"):
        predictor.logits([[row], []])
    with pytest.raises(DataError, match=r"there is no sample; at least one is needed"):
        predictor.logits([])
    with pytest.raises(DataError, match=r"torch.int64, .* expected are float32"):
        predictor.logits([[torch.zeros(4, dtype=torch.int64)]])


def test_a_kind_of_other_code_is_refused_also_for_a_built_in_network(published, tmp_path, monkeypatch):
    _, path, folder = published("windows")
    assert (folder.path / "code" / extensions.FILE).read_bytes() == OWN.read_bytes()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / extensions.FILE).write_text(OWN.read_text() + "\nMORE = 1\n")
    monkeypatch.setattr(extensions, "_unpacked", [tmp_path / "other"])
    shutil.rmtree(path / "code")
    with pytest.raises(
        StorageError, match=r"a model of data.kind 'series' was trained with an extensions.py \(\w{8}\) that lies"
    ):
        load_predictor(path)
