import numpy as np
import pytest
import report_builder as rb

from pipeline.errors import StorageError
from pipeline.kinds.image.showing import shown
from pipeline.report import material


def test_settings_mark_what_was_overridden_and_chosen(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "overrides.yaml").write_text(
        "# @package _global_\ndefaults:\n- override /model: cnn\n- override /study: [a, b]\ntrain:\n  betas: [0.9, 0.99]\n"
    )
    (tmp_path / "params.yaml").write_text(
        "model: {arch: cnn}\ntrain: {betas: [0.9, 0.99], epochs: 3}\nstudy: {definitions: {}}\ntracking: {}\n"
    )
    found = {section.name: section for section in material.settings(tmp_path)}
    assert list(found) == ["model", "train", "study"]
    assert [found[name].chosen for name in found] == ["cnn", None, "a, b"]
    assert found["train"].values == [("train.betas", "[0.9, 0.99]", True), ("train.epochs", "3", False)]


def test_a_broken_file_of_the_project_is_named(tmp_path):
    (tmp_path / "dvc.lock").write_text("stages: [")
    with pytest.raises(StorageError, match=r"dvc\.lock: not YAML"):
        material.output_hashes(tmp_path)


def test_torn_predictions_are_named(tmp_path):
    artifacts = rb.build(tmp_path, epochs=1)
    path = artifacts / "evaluate" / "predictions.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StorageError, match=r"predictions\.parquet"):
        material.read_predictions(artifacts)


def test_predictions_come_back_as_they_were(tmp_path):
    artifacts = rb.build(tmp_path, data=rb.several(), classes=list("abcd"), task="multi", epochs=2)
    found = material.read_predictions(artifacts)
    assert found.task == "multi"
    assert np.array_equal(found.labels, np.load(artifacts / "prepare/test/labels.npy"))
    assert np.array_equal(found.predictions, found.probabilities > 0.5)
    assert np.array_equal(found.ids, np.load(artifacts / "prepare/test/ids.npy"))


def test_the_surest_mistakes_of_several_labels_are_one_per_sample(tmp_path):
    artifacts = rb.build(tmp_path, data=rb.several(), classes=list("abcd"), task="multi", epochs=2)
    found = material.read_predictions(artifacts)
    wrong = found.labels != found.predictions
    sure = np.where(wrong, np.maximum(found.probabilities, 1 - found.probabilities), -1.0)
    mistakes = material.most_confident_mistakes(artifacts, found, list("abcd"), 1000)
    assert [m.row for m in mistakes] == sorted(np.flatnonzero(wrong.any(axis=1)), key=lambda row: -sure[row].max())
    first = mistakes[0]
    label = int(sure[first.row].argmax())
    assert first.confidence == pytest.approx(sure[first.row, label])
    assert first.predicted == f"{'abcd'[label]}: {'present' if found.predictions[first.row, label] else 'absent'}"
    assert first.actual == f"{'abcd'[label]}: {'present' if found.labels[first.row, label] else 'absent'}"
    inputs = np.load(artifacts / "prepare/test/inputs.npy")
    words = f"{first.source}: actual {first.actual}, predicted {first.predicted}"
    assert first.shown == shown(inputs[first.row], {}, words)
