"""Mixed targets are exact: against soft labels in float64, for every loss, in bfloat16, and with many classes."""

import pytest
import torch
from torch import Tensor

from pipeline.model.losses import logit_gradients, sample_losses
from pipeline.model.targets import Partners, Targets

NUM = 40


def made(loss, outputs, precision=torch.float32):
    """Logits (2, NUM, outputs), own and other labels, shares; the first ten are left as they are."""
    generator = torch.Generator().manual_seed(0)
    logits = (4 * torch.randn(2, NUM, outputs, generator=generator)).to(precision).float()
    if loss == "softmax":
        own, other = (torch.randint(0, outputs, (2, NUM), generator=generator) for _ in range(2))
    else:
        shape = (2, NUM) if outputs == 1 else (2, NUM, outputs)
        own, other = (torch.randint(0, 2, shape, generator=generator).to(torch.uint8) for _ in range(2))
    shares = torch.rand(2, NUM, generator=generator)
    shares[:, :10] = 1.0
    return logits, own, other, shares


def soft(loss, labels, outputs) -> Tensor:
    if loss == "softmax":
        return torch.nn.functional.one_hot(labels, outputs).double()
    return labels.double().reshape(2, NUM, outputs)


CASES = [("softmax", 10), ("softmax", 500), ("sigmoid", 1), ("sigmoid", 7)]


@pytest.mark.parametrize(("loss", "outputs"), CASES)
@pytest.mark.parametrize("smoothing", [None, 0.1])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_losses_and_gradients_are_those_of_soft_labels(loss, outputs, smoothing, precision):
    logits, own, other, shares = made(loss, outputs, precision)
    z = logits.double().requires_grad_()
    weight = shares.double().unsqueeze(-1)
    target = weight * soft(loss, own, outputs) + (1 - weight) * soft(loss, other, outputs)
    if smoothing is not None:
        target = target * (1 - smoothing) + smoothing / (outputs if loss == "softmax" else 2)
    if loss == "softmax":
        expected = -(target * z.log_softmax(-1)).sum(-1)
    else:
        expected = torch.nn.functional.binary_cross_entropy_with_logits(z, target, reduction="none").mean(-1)
    (expected.sum() / NUM).backward()
    targets = Targets(own, Partners(other, shares))
    smooth = None if smoothing is None else torch.full((2, 1), smoothing)
    found = targets.losses(loss, logits, smooth)
    assert torch.allclose(found.double(), expected.detach(), rtol=1e-5, atol=1e-5)
    gradients = targets.gradients(loss, logits, smooth, NUM)
    assert torch.allclose(gradients.double(), z.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("loss", "outputs"), CASES)
def test_what_is_left_as_it_is_has_the_bits_of_no_mixing(loss, outputs):
    logits, own, other, shares = made(loss, outputs)
    mixed, plain = Targets(own, Partners(other, shares)), Targets(own)
    assert torch.equal(mixed.losses(loss, logits)[:, :10], plain.losses(loss, logits)[:, :10])
    assert not torch.equal(mixed.losses(loss, logits)[:, 10:], plain.losses(loss, logits)[:, 10:])
    gradients = (targets.gradients(loss, logits, None, NUM)[:, :10] for targets in (mixed, plain))
    assert torch.equal(*gradients)
    assert torch.equal(plain.losses(loss, logits), sample_losses(loss, logits, own))
    assert torch.equal(plain.gradients(loss, logits, None, NUM), logit_gradients(loss, logits, own, None, NUM))


def test_parts_are_joined_again():
    _, own, other, shares = made("softmax", 10)
    whole = Targets(own, Partners(other, shares))
    again = Targets.joined([whole.part(0, 7), whole.part(7, NUM)])
    assert torch.equal(again.labels, own)
    assert torch.equal(again.partners.labels, other)
    assert torch.equal(again.partners.shares, shares)
    assert Targets.joined([Targets(own), Targets(own)]).partners is None


def test_numbers_are_weighed_by_their_errors():
    z = torch.tensor([[[1.0], [2.0]]])
    targets = Targets(torch.tensor([[[0.0], [2.0]]]), Partners(torch.tensor([[[4.0], [0.0]]]), torch.tensor([[0.75, 0.5]])))
    assert targets.losses("squared", z).tolist() == [[0.75 * 1 + 0.25 * 9, 0.5 * 0 + 0.5 * 4]]
    assert targets.gradients("squared", z, None, 2).flatten().tolist() == [0.75 * 1 + 0.25 * -3, 0.5 * 0 + 0.5 * 2]
