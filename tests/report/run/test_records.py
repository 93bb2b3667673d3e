import numpy as np
import pytest
import report_builder as rb
from made_up import manifest

from pipeline.artifacts import read_csv, read_json, write_csv, write_json
from pipeline.errors import ConfigError, StorageError
from pipeline.evaluation.tables import confusion_table
from pipeline.report.run.records import Effect, class_counts_of, curves_of, effects_of, read_records


def row(epoch, split, loss, **more):
    return {"epoch": epoch, "split": split, "loss": loss, "accuracy": 1 - loss, **more}


def test_curves_are_sorted_by_epoch_and_gaps_are_nan():
    rows = [row(2, "val", 0.2), row(1, "val", 0.3), row(1, "train", 0.5, layer_grad_norms={"dense1": 1.0, "output": 2.0})]
    curves = curves_of(rows)
    assert curves.epochs.tolist() == [1, 2]
    assert curves.val_loss.tolist() == [0.3, 0.2]
    assert np.isnan(curves.running_loss[1])
    assert curves.layers == ["dense1", "output"]
    assert curves.layer_norms[0].tolist() == [1.0, 2.0]
    assert np.isnan(curves.layer_norms[1]).all()


def test_of_an_epoch_that_was_recorded_twice_the_later_counts():
    curves = curves_of([row(1, "val", 0.3), row(2, "val", 0.9), row(2, "val", 0.2)])
    assert curves.val_loss.tolist() == [0.3, 0.2]


def test_a_record_that_lacks_a_key_is_named(tmp_path):
    artifacts = rb.build(tmp_path, epochs=1)
    run = read_json(artifacts / "train" / "run.json")
    del run["best_epoch"]
    write_json(artifacts / "train" / "run.json", run)
    with pytest.raises(StorageError, match=r"run\.json: lacks best_epoch"):
        read_records(artifacts)


def test_a_torn_last_line_is_left_out(tmp_path):
    artifacts = rb.build(tmp_path, epochs=3)
    with (artifacts / "train" / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "spl')
    assert read_records(artifacts).curves.epochs.tolist() == [1, 2, 3]


@pytest.mark.parametrize("task", ["single", "multi"])
def test_the_counts_of_classes_are_those_of_the_predictions(tmp_path, task):
    random = np.random.default_rng(0)
    shape = (50,) if task == "single" else (50, 3)
    labels, said = (random.integers(0, 3 if task == "single" else 2, shape) for _ in range(2))
    write_csv(tmp_path / "confusion.csv", *confusion_table(labels, said, ["a", "b", "c"]))
    counts = class_counts_of(read_csv(tmp_path / "confusion.csv"), manifest(task=task, classes=["a", "b", "c"]))
    is_, given = ((x[:, None] == np.arange(3) if task == "single" else x.astype(bool)) for x in (labels, said))
    assert counts.actual.tolist() == is_.sum(axis=0).tolist()
    assert counts.predicted.tolist() == given.sum(axis=0).tolist()
    assert counts.right.tolist() == (is_ & given).sum(axis=0).tolist()


def test_effects_are_those_of_one_number_in_this_dataset():
    def variant(verdict, **contrast):
        values = {key.replace("_", ".", 1): {"variant": new, "reference": old} for key, (old, new) in contrast.items()}
        return {"verdict": verdict, "contrast": values}

    variants = [
        variant("helps", model_dropout=(0.0, 0.2)), variant("hurts", train_epochs=(20, 5)),
        variant("no evidence", model_dropout=(0.0, 0.3)), variant("helps", model_activation=("relu", "tanh")),
        variant("helps", train_epochs=(20, 40), train_learning_rate=(0.1, 0.2)), {"verdict": "helps"},
    ]  # fmt: skip
    study = {"basis": {"dataset": "d"}, "metric": "val_loss", "variants": variants}
    assert effects_of([study], "d") == [Effect("model.dropout", 1, True), Effect("train.epochs", -1, False)]
    assert effects_of([study], "other") == []
    assert effects_of([{**study, "metric": "last_val_loss"}], "d") == []


def test_what_the_parameters_set_is_read_beside_the_artifacts(tmp_path):
    artifacts = rb.build(tmp_path, epochs=1, studies=False)
    assert read_records(artifacts).project.value("model.widths") == [48, 32]
    (tmp_path / "params.yaml").unlink()
    with pytest.raises(ConfigError, match=r"params\.yaml: missing; compose it with `regatta compose`"):
        read_records(artifacts)


def changed(path, **values):
    write_json(path, {**read_json(path), **values})


def test_what_belongs_to_other_data_or_weights_is_told(tmp_path):
    artifacts = rb.build(tmp_path, epochs=1)
    assert read_records(artifacts).foreign == []
    changed(artifacts / "prepare" / "dataset.json", digest="another")
    assert read_records(artifacts).foreign == [
        "The training, run 20261123-184500-1a2b3c4d, belongs to other data than what is prepared now.",
        "The test results belong to other data than what is prepared now.",
    ]
    changed(artifacts / "prepare" / "dataset.json", digest=rb.DATASET)
    changed(artifacts / "train" / "model.json", weights_sha256="cd" * 32)
    assert read_records(artifacts).foreign == ["The test results belong to another network than the one that is trained now."]


def test_of_older_results_nothing_is_claimed(tmp_path):
    artifacts = rb.build(tmp_path, epochs=1)
    path = artifacts / "evaluate" / "metrics.json"
    write_json(path, {key: value for key, value in read_json(path).items() if key not in ("dataset", "weights")})
    changed(artifacts / "train" / "model.json", weights_sha256="cd" * 32)
    records = read_records(artifacts)
    assert (records.foreign, records.test.dataset, records.judged_elsewhere) == ([], None, False)


def test_results_of_other_classes_are_refused(tmp_path):
    artifacts = rb.build(tmp_path, epochs=1)
    changed(artifacts / "prepare" / "dataset.json", classes=[*"012345678", "moose"])
    with pytest.raises(StorageError, match=r"confusion.csv of artifacts/evaluate: 9: no classes of .*dvc repro evaluate"):
        read_records(artifacts)
