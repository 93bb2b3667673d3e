"""Losses: against torch's own, their gradients against autograd."""

import pytest
import torch
import torch.nn.functional as F

from pipeline.model.losses import hits, logit_gradients, probabilities, sample_losses
from pipeline.model.objective import chosen_loss, num_outputs

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(2, 13, 5, generator=GENERATOR)
CLASSES = torch.randint(0, 5, (2, 13), generator=GENERATOR)
SEVERAL = torch.randint(0, 2, (2, 13, 5), generator=GENERATOR).to(torch.uint8)
TWO = torch.randint(0, 2, (2, 13), generator=GENERATOR)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_is_torchs_cross_entropy(smoothing):
    own = sample_losses("softmax", LOGITS, CLASSES, torch.full((2, 1), smoothing) if smoothing else None)
    expected = F.cross_entropy(LOGITS.flatten(0, 1), CLASSES.flatten(), reduction="none", label_smoothing=smoothing)
    torch.testing.assert_close(own.flatten(), expected)


def test_sigmoid_is_torchs_binary_cross_entropy():
    own = sample_losses("sigmoid", LOGITS, SEVERAL)
    torch.testing.assert_close(own, F.binary_cross_entropy_with_logits(LOGITS, SEVERAL.float(), reduction="none").mean(-1))
    one = sample_losses("sigmoid", LOGITS[..., :1], TWO)
    torch.testing.assert_close(one, F.binary_cross_entropy_with_logits(LOGITS[..., 0], TWO.float(), reduction="none"))


def test_one_logit_is_softmax_over_two_with_zero():
    z = LOGITS[..., :1]
    both = torch.cat([torch.zeros_like(z), z], dim=-1)
    torch.testing.assert_close(sample_losses("sigmoid", z, TWO), sample_losses("softmax", both, TWO))
    torch.testing.assert_close(probabilities("sigmoid", "single", z), both.softmax(-1))
    assert torch.equal(hits("sigmoid", z, TWO), hits("softmax", both, TWO))


@pytest.mark.parametrize("smoothing", [None, torch.tensor([[0.0], [0.2]])])
@pytest.mark.parametrize(
    ("loss", "logits", "labels"),
    [("softmax", LOGITS, CLASSES), ("sigmoid", LOGITS, SEVERAL), ("sigmoid", LOGITS[..., :1], TWO)],
)
def test_gradients_are_those_of_autograd(loss, logits, labels, smoothing):
    z = logits.clone().requires_grad_()
    (expected,) = torch.autograd.grad(sample_losses(loss, z, labels, smoothing).sum() / 20, z)
    torch.testing.assert_close(logit_gradients(loss, logits.clone(), labels, smoothing, 20), expected)


def test_hits_and_probabilities_of_several_labels():
    right = ((LOGITS.sigmoid() > 0.5) == SEVERAL.bool()).float().mean(-1)
    torch.testing.assert_close(hits("sigmoid", LOGITS, SEVERAL), right)
    torch.testing.assert_close(probabilities("sigmoid", "multi", LOGITS), LOGITS.sigmoid())


def test_the_loss_follows_from_the_data():
    assert [chosen_loss("auto", "single", 2), chosen_loss("auto", "single", 3), chosen_loss("auto", "multi", 3)] == [
        "sigmoid",
        "softmax",
        "sigmoid",
    ]
    assert chosen_loss("softmax", "single", 2) == "softmax"
    assert [num_outputs("sigmoid", "single", 2), num_outputs("softmax", "single", 2), num_outputs("sigmoid", "multi", 4)] == [
        1,
        2,
        4,
    ]
