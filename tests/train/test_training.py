"""The training of stacked runs: each equals itself alone, resumes exactly, learns, and says when a loss is not finite."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from training_helpers import NONE, OFF, equal, lane, train_one_epoch, train_to_end, training

from pipeline.data.dataset import Dataset, Stored
from pipeline.data.views import Views, views_digest
from pipeline.errors import NumericsError
from pipeline.model.balance import Balance
from pipeline.train.batches import strata_of

LANES = [
    lane(0),
    lane(1, learning_rate=1e-2, dropout=0.0),
    lane(1, label_smoothing=0.1, weight_decay=0.1),
    lane(2, betas=(0.8, 0.95), clip_norm=0.5, dropout=0.5),
    lane(3, momentum=0.5, clip_norm=2.0, early_stop=1, learning_rate=0.03),
    lane(1, monitor="val_accuracy"),
]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"shards": 4},
        {"optimizer": "sgd", "batch_size": 50},
        {"activation": "gelu", "norm": "layer", "widths": (33, 17), "batch_size": 37},
        {"channels": (3,), "widths": (11,), "epochs": 2, "batch_size": 256},
        {"widths": (), "limit": 300},
        {"epochs": 6},
        {"balance": Balance.of("weights", "softmax", [10 * i + 10 for i in range(10)], 550)},
        {"balance": Balance.of("logits", "softmax", [10 * i + 10 for i in range(10)], 550), "epochs": 2},
        {"balance": Balance.of("sampling", "softmax", [10 * i + 10 for i in range(10)], 550), "epochs": 2},
    ],
    ids=str,
)
def test_a_run_of_a_stack_equals_itself_alone(digits, changes):
    together = train_to_end(training(digits, LANES, **changes))
    for k, own in enumerate(LANES):
        alone = train_to_end(training(digits, [own], **changes))
        assert equal(together, k, alone), f"run {k}"


def test_runs_of_one_seed_share_batches_and_initial_weights(digits):
    both = train_to_end(training(digits, [lane(4), lane(4), lane(5)]))
    assert torch.equal(both.net.flat[0], both.net.flat[1])
    assert not torch.equal(both.net.flat[0], both.net.flat[2])


def test_it_learns(digits):
    trained = train_to_end(training(digits, [lane(0)], epochs=20))
    rows = [row for row in trained.rows[0] if row["split"] == "val"]
    assert rows[0]["loss"] > 1
    assert rows[-1]["accuracy"] > 0.95
    best = trained.progress.best[0]
    assert best["loss"] == min(row["loss"] for row in rows)
    trained.net.flat.copy_(trained.best.flat)
    assert trained.evaluate("val")[0]["loss"] == best["loss"], "the best weights are those of the best epoch"


def test_records_count_every_sample_once(digits):
    trained = training(digits, [lane(0, learning_rate=1e-9, weight_decay=0.0, dropout=0.0)], batch_size=100, epochs=1)
    train_one_epoch(trained)
    train, clean, _val = trained.rows[0]
    everything = trained.batches.stocks[0].source.inputs.take(np.arange(len(trained.ids)))
    logits = trained.net.forward(trained.to_input(everything).unsqueeze(0))
    mean = float(torch.nn.functional.cross_entropy(logits[0], trained.batches.labels))
    assert train["loss"] == pytest.approx(mean, rel=1e-4), "the last, smaller batch counts as its samples do"
    assert clean["loss"] == pytest.approx(mean, rel=0.1)


@pytest.mark.parametrize("stop_after", [1, 7, 20, 33, 57])
@pytest.mark.parametrize("changes", [{}, {"shards": 2, "batch_size": 50}])
def test_an_interrupted_run_goes_on_bit_for_bit(digits, stop_after, changes):
    class Interrupted(Exception):
        pass

    whole = train_to_end(training(digits, LANES, **changes))
    first = training(digits, LANES, **changes)
    steps = 0

    def count():
        nonlocal steps
        steps += 1
        if steps == stop_after:
            raise Interrupted

    def train_and_count():
        while not first.done:
            first.train_epoch(count)
            first.end_epoch({name: first.evaluate(name) for name in ("train_clean", "val")})

    with pytest.raises(Interrupted):
        train_and_count()
    tensors, progress = first.state()
    second = training(digits, LANES, **changes)
    second.restore({name: array.copy() for name, array in tensors.items()}, progress)
    assert progress["num_rows"] == [len(rows) for rows in first.rows]
    second.rows = [list(rows) for rows in first.rows]
    train_to_end(second)
    assert all(equal(whole, k, second, k) for k in range(len(LANES)))


def test_a_loss_that_is_not_finite_names_its_place_and_keeps_the_best(digits):
    trained = training(digits, [lane(0, learning_rate=1e30)], epochs=5, warmup_epochs=0.0)
    with pytest.raises(NumericsError, match=r"not finite at epoch 1, step \d+ of 20, learning rate .*, samples [0-9a-f]{16}"):
        train_to_end(trained)


def test_the_best_weights_survive_a_failure(digits):
    trained = training(digits, [lane(0)], epochs=5)
    train_one_epoch(trained)
    best = trained.best.flat.clone()
    trained.net.flat[0, 0] = float("nan")
    with pytest.raises(NumericsError):
        train_to_end(trained)
    assert torch.equal(trained.best.flat, best)
    assert bool(best.isfinite().all())


def test_a_failed_run_does_not_stop_its_neighbours(digits):
    together = train_to_end(training(digits, [lane(0), lane(1, learning_rate=1e30), lane(2)], warmup_epochs=0.0))
    alone = train_to_end(training(digits, [lane(2)], warmup_epochs=0.0))
    assert together.progress.ended == [None, "not_finite", None]
    assert "learning rate 9.99e+29" in together.progress.failures[1]
    assert equal(together, 2, alone)


def test_early_stopping(digits):
    trained = train_to_end(training(digits, [lane(0, learning_rate=0.05, early_stop=2)], epochs=60))
    assert trained.progress.ended == ["early_stop"]
    assert trained.progress.epoch == trained.progress.best[0]["epoch"] + 2


def test_gradient_norms_are_those_of_the_layers(digits):
    trained = training(digits, [lane(0, dropout=0.0)], epochs=1, batch_size=1248)
    train_one_epoch(trained)
    row = trained.rows[0][0]
    layers = row["layer_grad_norms"]
    assert list(layers) == ["dense1", "dense2", "output"]
    assert row["grad_norm"] == pytest.approx(sum(norm**2 for norm in layers.values()) ** 0.5)


def test_stored_copies_are_chosen_by_seed_sample_and_epoch(digits):
    """Copies that differ in nothing leave the result as it is; copies that differ change it."""
    inputs = np.asarray(digits.split("train").inputs)
    plain = train_to_end(training(digits, [lane(0)]))
    same = train_to_end(training(digits, [lane(0)], stored([inputs, inputs])))
    other = train_to_end(training(digits, [lane(0)], stored([inputs, np.roll(inputs, 1, axis=-1)])))
    assert torch.equal(plain.net.flat, same.net.flat)
    assert not torch.equal(plain.net.flat, other.net.flat)


@pytest.mark.parametrize("num", [1, 2, 5, 8, 32])
def test_augmentation_is_each_runs_own_in_stacks_of_any_size(digits, num):
    """None, drawn while training, drawn at half the strength, and stored copies, of equal and of other seeds."""
    inputs = np.asarray(digits.split("train").inputs)
    moved = OFF.model_copy(update={"rotate": 20.0, "translate": 0.1})
    kinds = [
        NONE,
        drawn(moved),
        stored([inputs, np.roll(inputs, 1, axis=-1)]),
        drawn(moved.model_copy(update={"strength": 0.5})),
    ]
    lanes = [lane(i % 3, learning_rate=1e-3 * (1 + i % 7), dropout=0.1 * (i % 4)) for i in range(num)]
    views = [kinds[i % len(kinds)] for i in range(num)]
    together = train_to_end(training(digits, lanes, views, epochs=2))
    for k in range(0, num, 3):
        assert equal(together, k, train_to_end(training(digits, [lanes[k]], [views[k]], epochs=2))), f"run {k} of {num}"


def drawn(policy):
    return Views([], policy.scaled(), views_digest(policy.scaled(), "cpu"))


def stored(arrays):
    return Views([Stored(array) for array in arrays], OFF.model_copy(update={"rotate": 10.0}), "stored")


def test_a_limit_takes_the_same_samples_as_any_smaller_one(digits):
    small, large = (set(training(digits, [lane(0)], limit=num).ids.tolist()) for num in (200, 500))
    assert (len(small), len(large)) == (200, 500)
    assert small < large


def test_a_limit_keeps_the_shares_of_classes(digits):
    whole = np.bincount(digits.split("train").labels)
    taken = training(digits, [lane(0)], limit=100).batches.labels.numpy()
    assert (abs(np.bincount(taken) - 100 * whole / whole.sum()) <= 1.5).all()
    assert set(training(digits, [lane(0)], limit=10).batches.labels.tolist()) == set(range(10))


def test_strata_are_classes_or_the_rarest_label():
    assert strata_of(np.array([2, 0, 1])).tolist() == [2, 0, 1]
    several = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1], [0, 0, 0], [1, 0, 0]], np.uint8)
    assert strata_of(several).tolist() == [1, 0, 2, 2, -1, 0]
    assert strata_of(np.array([0.5, 2.5])).tolist() == [0, 0]


def test_judging_the_best_weights_leaves_the_training_as_it_is(digits):
    judged, plain = (training(digits, [lane(0), lane(1)]) for _ in range(2))
    train_one_epoch(judged), train_one_epoch(plain)
    assert judged.judged(digits.split("val")) == [
        {name: row[name] for name in ("loss", "accuracy")} for row in judged.progress.best
    ]
    train_to_end(judged), train_to_end(plain)
    assert equal(judged, 0, plain, 0)
    assert equal(judged, 1, plain, 1)


def test_mapped_inputs_give_the_same_run(digits):
    resident = train_to_end(training(digits, [lane(0)]))
    mapped = training(digits, [lane(0)])
    inputs = mapped.batches.stocks[0].source.inputs
    inputs.resident, inputs._values = False, None
    assert equal(resident, 0, train_to_end(mapped))


def relabelled(data, folder, labels, **facts):
    """The digits with other labels, computed from their class numbers."""
    shutil.copytree(data.path, folder)
    for split in ("train", "val", "test"):
        np.save(folder / split / "labels.npy", labels(np.load(folder / split / "labels.npy")))
    return Dataset(folder, dataclasses.replace(data.manifest, **facts))


def test_two_classes_as_one_logit(digits, tmp_path):
    data = relabelled(digits, tmp_path / "two", lambda y: y % 2, classes=["even", "odd"])
    lanes = [lane(0), lane(1, label_smoothing=0.1)]
    together = train_to_end(training(data, lanes, loss="sigmoid", num_outputs=1, epochs=25))
    assert together.progress.best[0]["accuracy"] > 0.9
    for k, own in enumerate(lanes):
        assert equal(together, k, train_to_end(training(data, [own], loss="sigmoid", num_outputs=1, epochs=25)))


def test_several_labels_at_once(digits, tmp_path):
    """Is it odd, is it above four, is it a zero."""
    data = relabelled(
        digits,
        tmp_path / "several",
        lambda y: np.stack([y % 2, y > 4, y == 0], axis=1).astype(np.uint8),
        classes=["odd", "high", "zero"],
        task="multi",
    )
    lanes = [lane(0), lane(1, label_smoothing=0.1, dropout=0.0)]
    changes = {"loss": "sigmoid", "task": "multi", "num_outputs": 3, "epochs": 25}
    together = train_to_end(training(data, lanes, **changes))
    assert together.progress.best[0]["accuracy"] > 0.9
    for k, own in enumerate(lanes):
        assert equal(together, k, train_to_end(training(data, [own], **changes)))


def test_of_each_class_so_many_are_taken_whatever_their_shares(digits):
    five, ten = (training(digits, [lane(0)], limit=10 * num, per_class=num) for num in (5, 10))
    assert set(five.ids.tolist()) < set(ten.ids.tolist())
    assert np.bincount(five.batches.labels.numpy()).tolist() == [5] * 10
