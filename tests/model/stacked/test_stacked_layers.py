"""Layers: gradients against autograd, and a network of a stack against the same network alone, bit for bit."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from pipeline.model.losses import logit_gradients, sample_losses
from pipeline.model.stacked.layers import ACTIVATIONS, MaxPool, aligned, aligned_empty, product
from pipeline.model.stacked.spec import StackedSpec

ODD = StackedSpec((7, 11), 7, (), (21, 13), "relu", "none", "auto")
IMAGE = StackedSpec((3, 9, 7), 3, (4, 6), (17,), "relu", "none", "auto")
ONE_LOGIT = StackedSpec((64,), 1, (), (31,), "relu", "none", "auto")
USUAL = StackedSpec((64,), 10, (), (128, 64), "relu", "none", "auto")
WIDE = StackedSpec((1, 28, 28), 10, (), (512, 256), "relu", "none", "auto")
PLAIN = StackedSpec((30,), 1, (), (), "relu", "none", "auto")


class Given:
    """Masks that are given instead of drawn."""

    def __init__(self, masks):
        self.given = masks

    def masks(self, layer, units):
        assert self.given[layer].shape[-1] == units
        return self.given[layer]


def with_(spec, **changes):
    return StackedSpec(**{**spec.__dict__, **changes})


def batch(spec, num_networks, rows):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(num_networks, rows, *spec.input_shape, generator=generator)
    y = torch.randint(0, max(2, spec.num_outputs), (num_networks, rows), generator=generator)
    masks = [(torch.rand(num_networks, rows, w, generator=generator) > 0.3).float() / 0.7 for w in spec.widths]
    return x, y, masks


def gradient(spec, seeds, x, y, masks):
    """Logits, losses and gradient of networks `seeds`, each with its own slice."""
    network = spec.build(len(seeds))
    network.initialise(seeds)
    loss = "sigmoid" if spec.num_outputs == 1 else "softmax"
    smoothing = torch.full((len(seeds), 1), 0.1)
    out = torch.zeros_like(network.flat)
    logits = network.gradient(x.clone(), Given(masks), lambda z: logit_gradients(loss, z, y, smoothing, x.shape[1]), out)
    return logits, sample_losses(loss, logits, y, smoothing), out, network


def reference(spec, network, x, y, masks):
    """The same gradient by autograd over torch's own layers, for one network."""
    named = network.layout.named(network.flat[0].numpy())
    p = {name: torch.from_numpy(array).requires_grad_() for name, array in named.items()}
    h = x[0]
    functions = {name: function.value for name, function in ACTIVATIONS.items()}
    for name in network.layout.layers:
        if name.startswith("conv"):
            h = F.conv2d(h, p[f"{name}.weight"], p[f"{name}.bias"], padding=1)
            h = F.group_norm(h, 1, p[f"{name}.gain"], p[f"{name}.shift"]) if spec.norm == "layer" else h
            h = F.max_pool2d(functions[spec.activation](h), 2)
            continue
        h = h.flatten(1) @ p[f"{name}.weight"] + p[f"{name}.bias"]
        if name != "output":
            h = F.layer_norm(h, h.shape[1:], p[f"{name}.gain"], p[f"{name}.shift"]) if spec.norm == "layer" else h
            h = functions[spec.activation](h) * masks[int(name[5:]) - 1][0]
    loss = "sigmoid" if spec.num_outputs == 1 else "softmax"
    return torch.autograd.grad(sample_losses(loss, h[None], y, torch.full((1, 1), 0.1)).mean(), list(p.values()))


@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("spec", [ODD, IMAGE, ONE_LOGIT, PLAIN], ids=["odd", "image", "one logit", "no hidden layer"])
def test_gradients_are_those_of_autograd(spec, activation, norm):
    spec = with_(spec, activation=activation, norm=norm)
    x, y, masks = batch(spec, 1, 11)
    _, _, out, network = gradient(spec, [5], x, y, masks)
    found = network.layout.named(out[0].numpy()).values()
    for own, expected in zip(found, reference(spec, network, x, y, masks), strict=True):
        torch.testing.assert_close(torch.from_numpy(own), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sides", [(8, 8), (5, 7), (1, 6), (3, 1), (1, 1)])
def test_pooling_in_evaluation_is_that_of_training(sides):
    x = torch.randn(2, 3, 4, *sides, generator=torch.Generator().manual_seed(0))
    x[1, 2, 3, 0, 0] = float("nan")
    evaluated, saved = MaxPool().forward(x, None)
    trained, _ = MaxPool().forward(x, Given([]))
    torch.testing.assert_close(evaluated, trained, rtol=0, atol=0, equal_nan=True)
    assert evaluated.isnan().sum() == 1
    assert saved is None


def test_a_spare_column_stays_zero():
    x, y, masks = batch(ONE_LOGIT, 2, 11)
    _, _, out, network = gradient(ONE_LOGIT, [0, 1], x, y, masks)
    spare = [view[..., 1] for view in network.layout.views(out)[-2:] + network.layout.views(network.flat)[-2:]]
    assert not any(part.any() for part in spare)


@pytest.mark.parametrize("num_networks", [2, 5, 8, 32])
@pytest.mark.parametrize(("spec", "rows"), [(ODD, 11), (IMAGE, 6), (ONE_LOGIT, 29), (USUAL, 64), (USUAL, 63), (PLAIN, 16)])
def test_a_network_of_a_stack_equals_itself_alone(spec, rows, num_networks):
    x, y, masks = batch(spec, num_networks, rows)
    stack = gradient(spec, list(range(num_networks)), x, y, masks)
    for k in range(num_networks):
        own = slice(k, k + 1)
        alone = gradient(spec, [k], x[own], y[own], [mask[own].clone() for mask in masks])
        assert all(torch.equal(together[k], single[0]) for together, single in zip(stack[:3], alone[:3], strict=True))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("activation", "norm"), list(itertools.product(ACTIVATIONS, ["none", "layer"])))
def test_a_network_of_a_stack_equals_itself_alone_with_every_activation(activation, norm, threads, request):
    before = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(before))
    torch.set_num_threads(threads)
    for spec, rows in ((WIDE, 64), (ODD, 37), (IMAGE, 5)):
        spec = with_(spec, activation=activation, norm=norm)
        x, y, masks = batch(spec, 3, rows)
        stack = gradient(spec, [0, 1, 2], x, y, masks)
        for k in range(3):
            own = slice(k, k + 1)
            alone = gradient(spec, [k], x[own], y[own], [mask[own].clone() for mask in masks])
            assert all(torch.equal(together[k], single[0]) for together, single in zip(stack[:3], alone[:3], strict=True))


def test_aligned_matrices_start_at_cache_lines():
    x = torch.randn(3, 37, 33)
    whole = aligned(x)
    assert torch.equal(whole, x)
    assert all(part.data_ptr() % 64 == 0 and part.is_contiguous() for part in whole)
    assert aligned(whole).data_ptr() == whole.data_ptr(), "what is aligned is not copied again"
    assert aligned_empty(x, 5, 3).shape == (3, 5, 3)
    w = torch.randn(3, 33, 7)
    torch.testing.assert_close(product(whole, aligned(w)), x @ w)
