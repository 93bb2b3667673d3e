import numpy as np
import pytest
import report_builder as rb

from pipeline.artifacts import read_json, write_json
from pipeline.errors import StorageError
from pipeline.report.records import curves_of, read_records


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
