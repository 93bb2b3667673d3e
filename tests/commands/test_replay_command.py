"""A step taken again has the bits that the run had."""

from pathlib import Path

import numpy as np

from pipeline.artifacts import load_tensors, read_json
from pipeline.model.spec import NetworkSpec, named_parameters


def the_run() -> Path:
    [run] = Path("runs").glob("2*")
    return run


def replayed(regatta, step, *words, code=0):
    said = regatta("replay", the_run().name[:12], f"--step={step}", *words, code=code)
    path = the_run() / "replay" / f"step-{step}.safetensors"
    return said, load_tensors(path)[0] if path.exists() else {}


def test_the_last_step_ends_with_the_weights_of_the_run_and_follows_the_one_before(trained, regatta):
    tensors, progress = load_tensors(the_run() / "state.safetensors")
    num_steps = progress["epoch"] * -(-read_json(the_run() / "run.json")["num_train"] // 32)
    said, last = replayed(regatta, num_steps)
    assert f"step {num_steps}: step {num_steps // 2} of {num_steps // 2} in epoch 2" in said
    assert "digits:" in said
    spec = NetworkSpec((1, 8, 8), 10, (), (16,), "relu", "none", "auto")
    final = named_parameters(tensors["parameters"][0], spec)
    assert all(np.array_equal(last[f"after.{name}"], array) for name, array in final.items())
    _, middle = replayed(regatta, num_steps // 2 + 1)
    _, first = replayed(regatta, num_steps // 2)
    assert all(np.array_equal(first[f"after.{name}"], middle[f"before.{name}"]) for name in final)
    assert middle["inputs"].shape == (32, 1, 8, 8)
    logits = middle["logits"] - middle["logits"].max(1, keepdims=True)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(32), middle["labels"]]
    np.testing.assert_allclose(middle["losses"], losses, rtol=1e-5, atol=1e-6)


def test_what_cannot_be_replayed_is_refused(trained, regatta):
    assert "--step = 0: the run has steps 1 to" in replayed(regatta, 0, code=2)[0]
    assert "0 runs have this name" in regatta("replay", "1999", "--step=1", code=2)
    regatta("run", "prepare.limit=200")
    said = regatta("replay", sorted(Path("runs").glob("2*"))[0].name, "--step=1", code=5)
    assert "artifacts/prepare: not what this run was trained on" in said
