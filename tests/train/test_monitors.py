"""What the best epoch is chosen by: scikit-learn's values, the right side, exact in stacks and after a kill."""

from pathlib import Path

import numpy as np
import pytest
import torch
from run_helpers import configs
from sklearn import metrics as sk
from test_training import relabelled
from training_helpers import equal, gone_on, interrupted, lane, train_to_end, training

from pipeline.data.dataset import Dataset
from pipeline.errors import ConfigError
from pipeline.metrics import METRICS
from pipeline.model.objective import Scale
from pipeline.runs.state import Progress
from pipeline.train.best import Best
from pipeline.train.monitors import MONITORS, monitored, refused
from pipeline.train.program import program_of

SINGLE = [f"val_{name}" for name in MONITORS["single"]]


def several(digits: Dataset, folder: Path) -> Dataset:
    of = {"classes": ["odd", "high", "zero"], "task": "multi"}
    return relabelled(digits, folder, lambda y: np.stack([y % 2, y > 4, y == 0], axis=1).astype(np.uint8), **of)


def validated(trained, data):
    held = trained.held_out["val"]
    with trained.best.standing_in(trained.net.flat):
        rows, _, labels = held.take(0)
        return trained.net.forward(trained.to_input(rows).unsqueeze(0))[0], labels.numpy()


@pytest.mark.parametrize("name", SINGLE)
def test_of_many_classes_it_is_scikit_learns_and_the_best_epoch_has_the_best(digits, name):
    trained = train_to_end(training(digits, [lane(0, monitor=name, learning_rate=0.02)], epochs=5))
    z, labels = validated(trained, digits)
    p, said = z.softmax(-1).numpy(), z.argmax(-1).numpy()
    expected = {
        "val_macro_f1": lambda: sk.f1_score(labels, said, average="macro"),
        "val_balanced_accuracy": lambda: sk.balanced_accuracy_score(labels, said),
        "val_roc_area": lambda: np.mean([sk.roc_auc_score(labels == i, p[:, i]) for i in range(10)]),
        "val_average_precision": lambda: np.mean([sk.average_precision_score(labels == i, p[:, i]) for i in range(10)]),
    }[name]()
    best, own = trained.progress.best[0], name.removeprefix("val_")
    assert best[own] == pytest.approx(expected)
    every = [row[own] for row in trained.rows[0] if row["split"] == "val"]
    assert best[own] == (max if METRICS[name].better == "higher" else min)(every)
    assert not any(own in row for row in trained.rows[0] if row["split"] != "val")


@pytest.mark.parametrize("name", MONITORS["multi"])
def test_of_several_labels_it_is_scikit_learns(digits, tmp_path, name):
    data = several(digits, tmp_path / "several")
    changes = {"loss": "sigmoid", "task": "multi", "num_outputs": 3, "epochs": 3}
    trained = train_to_end(training(data, [lane(0, monitor=f"val_{name}")], **changes))
    z, labels = validated(trained, data)
    p, said = z.sigmoid().numpy(), (z > 0).numpy()
    expected = {
        "macro_f1": lambda: sk.f1_score(labels, said, average="macro", zero_division=0),
        "micro_f1": lambda: sk.f1_score(labels, said, average="micro"),
        "exact_match": lambda: sk.accuracy_score(labels, said),
        "roc_area": lambda: sk.roc_auc_score(labels, p),
        "average_precision": lambda: sk.average_precision_score(labels, p),
    }[name]()
    assert trained.progress.best[0][name] == pytest.approx(expected)


def test_of_two_classes_the_area_is_that_of_the_second(digits, tmp_path):
    data = relabelled(digits, tmp_path / "two", lambda y: y % 2, classes=["even", "odd"])
    changes = {"loss": "sigmoid", "num_outputs": 1, "epochs": 2}
    trained = train_to_end(training(data, [lane(0, monitor="val_roc_area")], **changes))
    z, labels = validated(trained, data)
    assert trained.progress.best[0]["roc_area"] == pytest.approx(sk.roc_auc_score(labels, z[:, 0]))


def test_of_numbers_the_error_is_in_their_unit():
    class OfNumbers:
        task, scale = "number", Scale.of({"mean": [100.0], "std": [20.0]})

    actual, said = np.array([100.0, 130.0, 90.0]), np.array([110.0, 120.0, 60.0])
    labels, z = ((each[:, None] - 100) / 20 for each in (actual, said))
    found = monitored("rmse", OfNumbers, torch.from_numpy(z).float(), labels.astype(np.float32))
    assert found == pytest.approx(sk.root_mean_squared_error(actual, said))


LANES = [lane(0, monitor="val_macro_f1"), lane(1, monitor="val_roc_area", early_stop=2, learning_rate=0.02), lane(2)]


def test_each_run_of_a_stack_has_its_own_and_is_as_alone(digits):
    together = train_to_end(training(digits, LANES, epochs=5))
    for k, own in enumerate(LANES):
        assert equal(together, k, train_to_end(training(digits, [own], epochs=5)))
    val = [next(row for row in rows if row["split"] == "val") for rows in together.rows]
    assert [set(row) - {"epoch", "split", "loss", "accuracy"} for row in val] == [{"macro_f1"}, {"roc_area"}, set()]


def test_it_goes_on_exactly_after_a_kill(digits):
    whole = train_to_end(training(digits, LANES, epochs=4))
    for after in (5, whole.steps_per_epoch + 3):
        first = interrupted(training(digits, LANES, epochs=4), after)
        second = gone_on(first, training(digits, LANES, epochs=4))
        assert all(equal(whole, k, second, k) for k in range(len(LANES)))


@pytest.mark.parametrize(
    ("monitor", "said"),
    [
        ("val_mae", "an epoch gives val_loss, val_accuracy, val_macro_f1, val_balanced_accuracy, val_roc_area and val_average"),
        ("val_micro_f1", "of this data an epoch gives"),
    ],
)
def test_what_an_epoch_does_not_give_is_refused_with_what_it_does(digits, monitor, said):
    with pytest.raises(ConfigError, match=said):
        program_of(*configs(train__monitor=monitor), digits.manifest)


def test_a_ranking_of_one_class_alone_is_refused(digits):
    counts = digits.manifest.class_counts | {"val": [digits.manifest.counts["val"], *[0] * 9]}
    alone = Dataset(digits.path, digits.manifest.__class__(**{**vars(digits.manifest), "class_counts": counts})).manifest
    with pytest.raises(ConfigError, match="no class of the validation split has samples there and others beside it"):
        program_of(*configs(train__monitor="val_roc_area"), alone)
    program_of(*configs(train__monitor="val_macro_f1"), alone)
    assert "thresholds, which are chosen once" in refused("val_cost", "single")


def test_of_epochs_with_the_same_value_the_one_of_the_smaller_loss_is_kept():
    best, progress = (
        Best([lane(0, monitor="val_macro_f1"), lane(1), lane(2, monitor="val_accuracy")], torch.zeros(3, 1)),
        Progress.of(3),
    )
    rows = [(0.466, 0.9, 0.379), (0.466, 0.9, 0.320), (0.466, 0.9, 0.330), (0.466, 0.8, 0.320), (0.465, 0.9, 0.100)]
    for epoch, (f1, accuracy, loss) in enumerate(rows, start=1):
        row = {"epoch": epoch, "macro_f1": f1, "accuracy": accuracy, "loss": loss}
        for k in range(3):
            best.offer(progress, k, row, torch.full((1,), float(epoch)))
    assert [row["epoch"] for row in progress.best] == [2, 5, 5]
    assert best.flat[:, 0].tolist() == [2, 5, 5]
    assert progress.stale == [3, 0, 0], "a tie of a smaller loss is a better epoch, an equal one is none"
