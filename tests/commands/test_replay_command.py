"""A step taken again has the bits that the run had."""

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from training_helpers import lane, training

from pipeline.artifacts import load_tensors, read_json
from pipeline.commands.replay import numbered, take_step
from pipeline.errors import ConfigError
from pipeline.model.balance import Balance
from pipeline.model.stacked.spec import StackedSpec


def the_run() -> Path:
    [run] = Path("runs").glob("2*")
    return run


def replayed(command, step, *words, code=0):
    said = command("replay", the_run().name[:12], f"--step={step}", *words, code=code)
    path = the_run() / "replay" / f"step-{step}.safetensors"
    return said, load_tensors(path)[0] if path.exists() else {}


def test_the_last_step_ends_with_the_weights_of_the_run_and_follows_the_one_before(trained, command):
    tensors, progress = load_tensors(the_run() / "state.safetensors")
    num_steps = progress["epoch"] * -(-read_json(the_run() / "run.json")["num_train"] // 32)
    said, last = replayed(command, num_steps)
    assert f"step {num_steps}: step {num_steps // 2} of {num_steps // 2} in epoch 2" in said
    assert "digits:" in said
    spec = StackedSpec((1, 8, 8), 10, (), (16,), "relu", "none", "auto")
    final = spec.layout().named(tensors["parameters"][0])
    assert all(np.array_equal(last[f"after.{name}"], array) for name, array in final.items())
    _, middle = replayed(command, num_steps // 2 + 1)
    again, _ = replayed(command, 1, "--epoch=2")
    assert f"step {num_steps // 2 + 1}: step 1 of {num_steps // 2} in epoch 2" in again
    _, first = replayed(command, num_steps // 2)
    assert all(np.array_equal(first[f"after.{name}"], middle[f"before.{name}"]) for name in final)
    assert middle["inputs"].shape == (32, 1, 8, 8)
    logits = middle["logits"] - middle["logits"].max(1, keepdims=True)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(32), middle["labels"]]
    np.testing.assert_allclose(middle["losses"], losses, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["none", "weights", "logits", "sampling"])
def test_a_balanced_step_has_the_losses_that_its_epoch_counts(digits, mode):
    changes = {"shards": 2, "balance": Balance.of(mode, "softmax", [10 * i + 10 for i in range(10)], 550)}
    counted, step = training(digits, [lane(0)], **changes), take_step(training(digits, [lane(0)], **changes))
    counted.take(counted.batches.of_epoch(0)(range(1)))
    assert np.array_equal(step.losses, counted.meter.row_losses[0, :64].numpy())
    losses = np.logaddexp.reduce(step.logits, axis=1) - step.logits[np.arange(64), step.labels]
    np.testing.assert_allclose(step.losses, losses, rtol=1e-5)


@pytest.mark.parametrize(("epoch", "step", "number"), [(None, 1, 1), (None, 21, 21), (1, 7, 7), (2, 1, 8), (3, 7, 21)])
def test_steps_are_counted_over_all_epochs_or_within_one(epoch, step, number):
    assert numbered(Namespace(epoch=epoch, step=step), 3, 7) == number


@pytest.mark.parametrize(
    ("epoch", "step", "said"),
    [
        (None, 22, r"--step = 22: the run has steps 1 to 21 \(7 an epoch\)"),
        (None, 0, "--step = 0: the run has steps 1 to 21"),
        (2, 8, "--step = 8: epoch 2 has steps 1 to 7$"),
        (2, 0, "--step = 0: epoch 2 has steps 1 to 7$"),
        (4, 1, "--epoch = 4: the run has epochs 1 to 3$"),
        (0, 1, "--epoch = 0: the run has epochs 1 to 3$"),
    ],
)
def test_steps_that_a_run_does_not_have_are_refused(epoch, step, said):
    with pytest.raises(ConfigError, match=said):
        numbered(Namespace(epoch=epoch, step=step), 3, 7)


def test_what_cannot_be_replayed_is_refused(trained, command, dvc):
    assert "--step = 0: the run has steps 1 to" in replayed(command, 0, code=2)[0]
    assert "1999: is no run of this project" in command("replay", "1999", "--step=1", code=2)
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("limit: 300", "limit: 200"))
    dvc("repro", "prepare")
    assert "artifacts/prepare: not what this run was trained on" in replayed(command, 1, code=5)[0]
