"""Networks: parameters in one matrix, initialisation by seed and name."""

import math

import pytest
import torch

from pipeline.model.stacked.spec import StackedSpec

SPEC = StackedSpec((3, 9, 7), 4, (5, 6), (20, 10), "relu", "layer", "auto")


def test_layers_share_the_flat_matrix():
    network = SPEC.build(2)
    network.initialise([0, 1])
    x = torch.randn(2, 4, 3, 9, 7)
    before = network.forward(x)
    network.flat.zero_()
    assert not torch.equal(before, network.forward(x))
    assert torch.equal(network.forward(x), torch.zeros(2, 4, 4))


def test_parameters_are_named_counted_and_aligned():
    network = SPEC.build(2)
    names = [slot.name for slot in network.layout.slots]
    assert names[:4] == ["conv1.weight", "conv1.bias", "conv1.gain", "conv1.shift"]
    assert names[-2:] == ["output.weight", "output.bias"]
    expected = (5 * 27 + 5 * 3) + (6 * 45 + 6 * 3) + (6 * 2 * 1 * 20 + 20 * 3) + (20 * 10 + 10 * 3) + (10 * 4 + 4)
    assert network.layout.num_parameters == expected
    assert all(part.data_ptr() % 64 == 0 for view in network.layout.views(network.flat) for part in view)
    layers = network.layout.layers
    assert sum(layers.values()) == network.layout.num_stepped == network.flat.shape[1]
    assert list(layers) == ["conv1", "conv2", "dense1", "dense2", "output"]


def test_initial_weights_depend_on_seed_and_name_alone():
    deeper = StackedSpec(**{**SPEC.__dict__, "widths": (20, 10, 10)})
    one, two, other = SPEC.build(1), deeper.build(2), SPEC.build(1)
    one.initialise([3])
    two.initialise([8, 3])
    other.initialise([4])
    by_name = {slot.name: part for slot, part in zip(two.layout.slots, two.layout.views(two.flat), strict=True)}
    for slot, part in zip(one.layout.slots, one.layout.views(one.flat), strict=True):
        if not slot.name.startswith("output"):
            assert torch.equal(part[0], by_name[slot.name][1]), slot.name
    assert not torch.equal(one.flat, other.flat)


@pytest.mark.parametrize(
    ("activation", "variance"),
    [("relu", 2 / 784), ("gelu", 2 / 784), ("selu", 1 / 784), ("tanh", 2 / (784 + 512)), ("sigmoid", 2 / (784 + 512))],
)
def test_initialisation_matches_the_activation(activation, variance):
    network = StackedSpec((784,), 10, (), (512,), activation, "none", "auto").build(1)
    network.initialise([0])
    weight = network.layout.views(network.flat)[0]
    assert math.isclose(float(weight.var()), variance, rel_tol=0.02)
    assert abs(float(weight.mean())) < 4 * math.sqrt(variance / weight.numel())


def test_each_layer_keeps_the_scale_of_its_input():
    """What initialisation is for: the signal neither dies nor explodes over twenty layers."""
    for activation in ("relu", "tanh", "selu"):
        network = StackedSpec((256,), 256, (), (256,) * 20, activation, "none", "auto").build(1)
        network.initialise([1])
        out = network.forward(torch.randn(1, 500, 256, generator=torch.Generator().manual_seed(0)))
        assert 0.05 < float(out.std()) < 3, activation


@pytest.mark.parametrize(
    "activation", ["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "tanh", "sigmoid"]
)
@pytest.mark.parametrize(("channels", "norm", "outputs"), [((5, 6), "layer", 4), ((), "none", 1)])
def test_as_a_plain_module_it_answers_the_same(activation, channels, norm, outputs):
    spec = StackedSpec((3, 9, 7), outputs, channels, (20, 10), activation, norm, "auto")
    network = spec.build(2)
    network.initialise([4, 5])
    network.flat.add_(0.01)  # gains, shifts and biases that are not their first values
    x = torch.randn(6, 3, 9, 7)
    expected = network.forward(x.expand(2, *x.shape).clone())[0]
    torch.testing.assert_close(network.plain()(x), expected, rtol=1e-5, atol=1e-6)
