"""Any torch module as a network: its tensors are columns, its gradients autograd's, its statistics summed over shards."""

import pytest
import torch
import torch.nn.functional as F

from pipeline import extensions
from pipeline.errors import ConfigError
from pipeline.kinds.inputs import Taken
from pipeline.model.draw import Draws
from pipeline.model.losses import logit_gradients
from pipeline.model.module.building import built
from pipeline.model.module.spec import ModuleSpec

SHAPE, OUTPUTS, ROWS = (1, 8, 8), 5, 12


def spec(name, **keys):
    return ModuleSpec.of({"name": name, "keys": keys, "compile": False}, Taken(SHAPE), OUTPUTS)


def batch(rows=ROWS):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(1, rows, *SHAPE, generator=generator)
    return x, torch.randint(0, OUTPUTS, (1, rows), generator=generator)


def gradient(net, x, y, step=0, shards=1):
    """Of a whole batch, its shards summed."""
    rows = x.shape[1]
    block = Draws([7], [0.0], rows, torch.device("cpu")).of_epoch(range(4)).block(range(4), (0, rows))
    total, logits = torch.zeros_like(net.flat), []
    for shard in range(shards):
        a, b, out = rows * shard // shards, rows * (shard + 1) // shards, torch.full_like(net.flat, 9.0)
        draw, labels = block.shard(step, shard, a, b, rows), y[:, a:b]
        loss = lambda z, labels=labels: logit_gradients("softmax", z, labels, None, rows)  # noqa: E731
        logits.append(net.gradient(x[:, a:b], draw, loss, out))
        total += out
    return torch.cat(logits, dim=1), total


@pytest.mark.parametrize("name", ["cnn", "patches", "dense", "frozen", "tied", "unused", "pair", "named", "averaged"])
def test_gradients_are_those_of_autograd(own_modules, name):
    net, (x, y) = spec(name).build(1), batch()
    net.initialise([4])
    logits, out = gradient(net, x, y, step=2)
    module = built(net.spec, 4).train()
    block = Draws([7], [0.0], ROWS, torch.device("cpu")).of_epoch(range(4)).block(range(4), (0, ROWS))
    block.shard(2, 0, 0, ROWS, ROWS).seed_torch()
    found = module(x[0])
    found = getattr(found, "logits", found[0] if isinstance(found, tuple) else found)
    assert torch.equal(logits[0], found)
    F.cross_entropy(found, y[0]).backward()
    parts = net.layout.named(out[0].numpy())
    for key, parameter in module.named_parameters():
        expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(torch.from_numpy(parts[key]), expected, rtol=1e-4, atol=1e-6)


def test_columns_are_trained_frozen_and_buffers_and_a_layer_is_a_child(own_modules):
    cnn, frozen, tied = (spec(name).build(1) for name in ("cnn", "frozen", "tied"))
    assert list(cnn.layout.layers) == ["scale", "stem", "head"]
    assert [slot.name for slot in cnn.layout.slots if slot.role == "buffer"] == ["stem.1.running_mean", "stem.1.running_var"]
    assert cnn.layout.num_parameters == sum(p.numel() for p in cnn.module.parameters())
    assert [slot.role for slot in frozen.layout.slots] == ["trained", "trained", "frozen", "frozen"]
    assert frozen.layout.num_stepped < frozen.layout.num_columns
    assert [slot.name for slot in tied.layout.slots].count("middle.weight") == 1
    assert "again.weight" not in [slot.name for slot in tied.layout.slots]
    assert tied.module.again.weight is tied.module.middle.weight


def test_one_child_alone_is_no_layer_but_its_own_children_are(own_modules):
    assert list(spec("whole").layout().layers) == ["net.1", "net.3"]


def test_statistics_change_by_the_mean_of_the_shards_changes(own_modules):
    net, (x, y) = spec("cnn", drop=0.0).build(1), batch()
    net.initialise([0])
    before = net.flat.clone()
    _, out = gradient(net, x, y, shards=3)
    assert torch.equal(net.flat, before), "a shard leaves them to the sum"
    changes = net.layout.named(out[0].numpy())["stem.1.running_mean"]
    convolved = net.module.stem[0](x[0])
    means = torch.stack([part.mean((0, 2, 3)) for part in convolved.chunk(3)])
    torch.testing.assert_close(torch.from_numpy(changes), 0.1 * means.mean(0).detach(), rtol=1e-4, atol=1e-6)


def test_dropout_depends_on_run_step_and_shard_alone(own_modules):
    net, (x, y) = spec("cnn").build(1), batch()
    net.initialise([0])
    one, again, other = (gradient(net, x, y, step=step)[0] for step in (1, 1, 2))
    torch.manual_seed(99)
    third = gradient(net, x, y, step=1)[0]
    assert torch.equal(one, again)
    assert torch.equal(one, third)
    assert not torch.equal(one, other)


def test_first_values_depend_on_the_seed_alone(own_modules):
    one, same, other = (spec("patches").build(1) for _ in range(3))
    one.initialise([5]), same.initialise([5]), other.initialise([6])
    assert torch.equal(one.flat, same.flat)
    assert not torch.equal(one.flat, other.flat)


def test_weights_by_name_make_the_same_network(own_modules):
    net, (x, _) = spec("cnn").build(1), batch()
    net.initialise([1])
    other = spec("cnn").build(1)
    other.flat[0].copy_(torch.from_numpy(other.layout.row(net.layout.named(net.flat[0].numpy()))))
    assert torch.equal(net.forward(x), other.forward(x))


def test_its_cost_is_measured(own_modules):
    dense = spec("dense", width=16)
    assert dense.forward_flops() == 2 * (64 * 16 + 16 * OUTPUTS)
    assert 64 <= dense.num_values() < 1000
    assert str(dense) == "dense(width=16)"
    assert dense.max_lanes == 1


PICKY = """
import torch
from torch import nn


class Picky(nn.Module):
    def __init__(self, shape, num_outputs):
        super().__init__()
        self.last = nn.Linear(64, num_outputs)

    def forward(self, x):
        if x.abs().max() > 99:
            raise ValueError("too large") if x.max() < 9999 else torch.OutOfMemoryError("CUDA out of memory")
        return self.last(x.flatten(1))


MODELS = {"picky": Picky}
"""


def test_what_its_forward_raises_is_told_with_its_place_and_lack_of_memory_is_not_its_fault(tmp_path, monkeypatch):
    (tmp_path / extensions.FILE).write_text(PICKY)
    monkeypatch.setattr(extensions, "_unpacked", [tmp_path])
    net = spec("picky").build(1, "cpu")
    net.initialise([0])
    x, y = batch()
    assert gradient(net, x, y)[1].any()
    for what, call in (("training", lambda: gradient(net, 100 * x, y)), ("evaluation", lambda: net.forward(100 * x))):
        said = rf"^model.name = 'picky': its forward in {what} raised ValueError: too large \(extensions.py, line 13\)$"
        with pytest.raises(ConfigError, match=said):
            call()
    with pytest.raises(torch.OutOfMemoryError):
        net.forward(1e6 * x.abs())


def test_a_network_that_comes_along_refuses_keys_and_samples_by_name():
    with pytest.raises(ConfigError, match=r"^model\.keys\.width = 100: a multiple of 32 \(model\.name = 'vit'\)$"):
        built(spec("vit", width=100), 1)
    flat = ModuleSpec.of({"name": "residual", "keys": {}, "compile": False}, Taken((10,)), OUTPUTS)
    with pytest.raises(ConfigError, match=r"^model\.name = 'residual': samples of shape \(10,\): expected are images"):
        built(flat, 1)
