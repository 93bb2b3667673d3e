"""Training to predict numbers: it learns, in lanes as alone, goes on exactly, and keeps what suits numbers."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from run_helpers import configs
from training_helpers import equal, lane, train_one_epoch, train_to_end, training

from pipeline.artifacts import write_json
from pipeline.data.dataset import Dataset, manifest_dict, open_dataset
from pipeline.errors import ConfigError
from pipeline.model.objective import Scale
from pipeline.train.program import program_of


@pytest.fixture
def ink(digits: Dataset, tmp_path: Path) -> Dataset:
    """The digits with how much ink each has, in a unit of its own, and how far right it lies."""
    found = {}
    for name in ("train", "val", "test"):
        split = digits.split(name)
        (tmp_path / name).mkdir()
        images = np.asarray(split.inputs)[:, 0].astype(np.float64)
        found[name] = np.stack([1000 + images.mean((1, 2)), (images @ np.arange(8)).sum(1) / images.sum((1, 2))], axis=1)
        for part, values in (("inputs", split.inputs), ("labels", found[name]), ("ids", split.ids)):
            np.save(tmp_path / name / f"{part}.npy", values)
    fit = {"mean": found["train"].mean(0).tolist(), "std": found["train"].std(0).tolist()}
    manifest = dataclasses.replace(digits.manifest, task="number", classes=[], targets=["ink", "right"], target_fit=fit)
    write_json(tmp_path / "dataset.json", manifest_dict(manifest))
    return open_dataset(tmp_path)


def two(data: Dataset, **changes):
    return {"task": "number", "loss": "squared", "num_outputs": 2, "scale": Scale.of(data.manifest.target_fit), **changes}


def test_it_learns_two_numbers_of_different_sizes(ink: Dataset) -> None:
    trained = train_to_end(training(ink, [lane(0, dropout=0.0)], epochs=20, **two(ink)))
    val = [row for row in trained.rows[0] if row["split"] == "val"]
    assert val[0]["loss"] > 0.1
    assert val[-1]["loss"] < 0.03
    assert 0 < val[-1]["mae"] < 0.15
    assert "accuracy" not in val[-1]
    assert val[-1]["mae"] ** 2 <= val[-1]["loss"]


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_a_run_of_a_stack_equals_itself_alone_and_goes_on_exactly(ink: Dataset, loss: str) -> None:
    lanes = [lane(0), lane(1, dropout=0.0, clip_norm=0.5), lane(2, monitor="val_mae")]
    keys = two(ink, loss=loss)
    together = train_to_end(training(ink, lanes, **keys))
    for k, own in enumerate(lanes):
        assert equal(together, k, train_to_end(training(ink, [own], **keys))), k
    begun = training(ink, lanes, **keys)
    train_one_epoch(begun)
    begun.take(next(begun.blocks()))
    resumed = training(ink, lanes, **keys)
    resumed.restore(*begun.state())
    resumed.rows = begun.rows
    train_to_end(resumed)
    assert all(equal(resumed, k, together, k) for k in range(3))


def test_one_number_is_measured_in_its_own_unit(ink: Dataset) -> None:
    one = dataclasses.replace(
        ink.manifest, targets=["ink"], target_fit={name: values[:1] for name, values in ink.manifest.target_fit.items()}
    )
    program, _ = program_of(*configs(), one)
    assert (program.loss, program.spec.num_outputs, program.measure) == ("squared", 1, "mae")
    assert program.scale.unit == ink.manifest.target_fit["std"][0]
    labels = program.labels(np.array([1000.0, 1100.0]))
    assert labels.shape == (2, 1)
    assert labels.dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model__loss": "softmax"}, "the data's labels are numbers; choose squared, huber or auto"),
        ({"train__monitor": "val_accuracy"}, "of this data an epoch gives val_loss, val_mae and val_rmse"),
        ({"train__label_smoothing": 0.1}, "the labels are numbers, and only classes can be smoothed"),
    ],
)
def test_what_does_not_suit_numbers_is_refused(ink: Dataset, changes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        program_of(*configs(**changes), ink.manifest)


def test_what_suits_numbers_alone_is_refused_of_classes(digits: Dataset) -> None:
    for changes, said in (
        ({"model__loss": "huber"}, "the data's labels are classes"),
        ({"train__monitor": "val_mae"}, "val_loss, val_accuracy, val_macro_f1, "),
    ):
        with pytest.raises(ConfigError, match=said):
            program_of(*configs(**changes), digits.manifest)


def test_the_best_epoch_by_the_error(ink: Dataset) -> None:
    trained = training(ink, [lane(0, monitor="val_mae", early_stop=2)], epochs=4, **two(ink))
    train_to_end(trained)
    val = [row for row in trained.rows[0] if row["split"] == "val"]
    assert trained.progress.best[0]["mae"] == min(row["mae"] for row in val)
    assert torch.isfinite(trained.best.flat).all()
