"""Balanced training: exact after a kill, of any network, and its losses and answers are of the data as they are."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from run_helpers import configs, run
from training_helpers import equal, gone_on, interrupted, lane, train_to_end, training

from pipeline.artifacts import read_jsonl, write_json
from pipeline.data.dataset import Dataset, manifest_dict, open_dataset
from pipeline.errors import ConfigError
from pipeline.model.balance import Balance
from pipeline.model.predictor import load_predictor
from pipeline.runs.record import publish
from pipeline.train.program import program_of

MODES = ["weights", "logits", "sampling"]


@pytest.fixture(scope="module")
def rare(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The digits with every eighth alone of those from 5 on."""
    folder = tmp_path_factory.mktemp("rare")
    counts, class_counts = {}, {}
    for name in ("train", "val", "test"):
        split = digits.split(name)
        labels = np.asarray(split.labels)
        kept = np.flatnonzero((labels < 5) | (np.arange(len(labels)) % 8 == 0))
        (folder / name).mkdir()
        for part, values in (("inputs", split.inputs), ("labels", labels), ("ids", split.ids)):
            np.save(folder / name / f"{part}.npy", np.asarray(values)[kept])
        counts[name], class_counts[name] = len(kept), np.bincount(labels[kept], minlength=10).tolist()
    manifest = dataclasses.replace(digits.manifest, counts=counts, class_counts=class_counts)
    write_json(folder / "dataset.json", manifest_dict(manifest))
    return open_dataset(folder)


def balance_of(data: Dataset, mode: str) -> Balance | None:
    return Balance.of(mode, "softmax", data.manifest.class_counts["train"], data.manifest.counts["train"])


@pytest.mark.parametrize("mode", MODES)
def test_it_goes_on_exactly_in_the_middle_of_an_epoch(rare, mode):
    lanes = [lane(0, mixup=0.4), lane(1, label_smoothing=0.1)]
    changes = {"balance": balance_of(rare, mode), "shards": 2}
    whole = train_to_end(training(rare, lanes, **changes))
    plain = train_to_end(training(rare, lanes, shards=2))
    assert not any(torch.equal(whole.net.flat[k], plain.net.flat[k]) for k in range(2))
    for after in (4, whole.steps_per_epoch + 5):
        first = interrupted(training(rare, lanes, **changes), after)
        assert first.progress.step
        second = gone_on(first, training(rare, lanes, **changes))
        assert all(equal(whole, k, second, k) for k in range(2)), after


@pytest.mark.parametrize("mode", MODES)
def test_a_module_goes_on_exactly(rare, own_modules, mode):
    changes = {"module": "cnn", "epochs": 2, "batch_size": 100, "shards": 2, "balance": balance_of(rare, mode)}
    whole = train_to_end(training(rare, [lane(0)], **changes))
    first = interrupted(training(rare, [lane(0)], **changes), whole.steps_per_epoch + 3)
    assert equal(whole, 0, gone_on(first, training(rare, [lane(0)], **changes)))


def test_adjusted_logits_are_plain_training_from_a_shifted_start(rare):
    """Losses, measures and answers of the data as they are: those of a plain training whose last bias starts with the shift."""
    balance = balance_of(rare, "logits")
    changes = {"widths": (), "optimizer": "sgd", "warmup_epochs": 0.0}
    own = lane(0, learning_rate=0.1, weight_decay=0.0, dropout=0.0)
    balanced, plain = training(rare, [own], balance=balance, **changes), training(rare, [own], **changes)
    layout, shift = plain.net.layout, np.array(balance.shift, np.float32)
    start = layout.named(plain.net.flat[0].numpy())
    shifted = {name: array + shift if name.endswith("bias") else array for name, array in start.items()}
    plain.net.flat[0].copy_(torch.from_numpy(layout.row(shifted)))
    for trained in (balanced, plain):
        train_to_end(trained)
    for one, other in zip(balanced.rows[0], plain.rows[0], strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4), one["split"]
        assert one["accuracy"] == pytest.approx(other["accuracy"], abs=0.01), one["split"]
    x = balanced.to_input(torch.from_numpy(np.array(rare.split("val").inputs))).unsqueeze(0)
    torch.testing.assert_close(balance.shifted(balanced.net.forward(x)), plain.net.forward(x), rtol=1e-3, atol=1e-3)


NETWORKS = {
    "lanes": {"model__widths": [16]},
    "module": {"model__arch": "module", "model__name": "cnn", "model__widths": [], "model__dropout": 0.0},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("network", "precision"), [("lanes", "32-true"), ("module", "32-true"), ("module", "bf16-mixed")])
def test_a_published_network_has_the_losses_of_validation(rare, own_modules, tmp_path, monkeypatch, network, precision, mode):
    monkeypatch.chdir(tmp_path)
    changes = {**NETWORKS[network], "train__precision": precision, "train__epochs": 2, "train__balance": mode}
    folder, model = run(rare, **changes)
    program, _ = program_of(*configs(**changes), rare.manifest)
    assert program.balance == balance_of(rare, mode)
    publish(folder, Path("artifacts/train"), model, rare.manifest, program)
    predictor, val = load_predictor(Path("artifacts/train")), rare.split("val")
    p = predictor.probabilities(predictor.logits(torch.from_numpy(np.array(val.inputs)))).numpy()
    best = min(row["loss"] for row in read_jsonl(folder.path / "metrics.jsonl") if row["split"] == "val")
    known = np.asarray(val.labels)
    losses = -np.log(p[np.arange(len(known)), known])
    assert losses.mean() == pytest.approx(best, rel=1e-4)
    assert p[:, 5:].sum(1).mean() < 0.3, "rare classes are as rare as they are, though training made them as frequent"


@pytest.mark.parametrize("mode", MODES)
def test_of_a_limit_the_shares_of_what_is_trained_on_are_balanced(rare, mode):
    """A class of 3 in 1,000 has one of the first 20: it counts by 1 in 20, and answers keep the 3 in 1,000."""
    limited = training(rare, [lane(0)], balance=balance_of(rare, mode), limit=20, batch_size=20)
    counts = torch.bincount(limited.batches.labels, minlength=10)
    assert limited.balance is not None
    assert limited.balance.trained == pytest.approx((counts.clamp(min=0.5) / 20).tolist())
    assert limited.balance.shift == balance_of(rare, mode).shift
    whole = training(rare, [lane(0)], balance=balance_of(rare, mode))
    assert whole.balance is not None
    assert whole.balance.trained == whole.balance.shares


def test_an_epoch_draws_each_class_as_often_and_rare_samples_again_and_again(rare):
    trained = training(rare, [lane(0)], balance=balance_of(rare, "sampling"))
    met = trained.batches.of_epoch(0)(range(trained.steps_per_epoch)).targets.labels[0]
    counts = torch.bincount(met, minlength=10)
    assert int(counts.sum()) == len(trained.ids)
    assert int(counts.max() - counts.min()) <= 1
    order = trained.batches.order(0, 0)
    assert torch.equal(met, trained.batches.labels[torch.from_numpy(order)])
    assert len(set(order.tolist())) < len(order)


def test_drawing_is_refused_where_a_sample_has_several_labels(digits):
    counts = {name: [10, 20] for name in ("train", "val", "test")}
    several = dataclasses.replace(digits.manifest, task="multi", classes=["a", "b"], class_counts=counts)
    with pytest.raises(ConfigError, match=r"no label comes as often as it is absent; say train\.balance=weights, or logits"):
        program_of(*configs(train__balance="sampling"), several)
