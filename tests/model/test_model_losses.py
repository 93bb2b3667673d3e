"""Losses: against torch's own, their gradients against autograd."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline.model.losses import joined, logit_gradients, probabilities, sample_losses, sample_measures
from pipeline.model.objective import Scale, chosen_loss, num_outputs

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
    assert torch.equal(sample_measures("sigmoid", z, TWO), sample_measures("softmax", both, TWO))


@pytest.mark.parametrize("classes", [2, 10, 16, 100])
def test_probabilities_are_torchs_softmax_and_those_of_a_row_alone(classes):
    logits = 30 * torch.randn(33, classes, generator=GENERATOR)
    found = probabilities("softmax", "single", logits)
    torch.testing.assert_close(found, logits.softmax(-1))
    assert found.is_contiguous()
    for first, last in [(0, 1), (5, 12), (1, 33)]:
        assert torch.equal(probabilities("softmax", "single", logits[first:last]), found[first:last])
    logits[3, 1] = float("nan")
    assert probabilities("softmax", "single", logits).isnan().any(1).nonzero().tolist() == [[3]]


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
    torch.testing.assert_close(sample_measures("sigmoid", LOGITS, SEVERAL), right)
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


NUMBERS = torch.randn(2, 13, 5, generator=GENERATOR)


@pytest.mark.parametrize(("loss", "torchs"), [("squared", F.mse_loss), ("huber", F.huber_loss)])
@pytest.mark.parametrize("outputs", [1, 5])
def test_losses_of_numbers_are_torchs_and_their_gradients_autograds(loss, torchs, outputs):
    z, y = LOGITS[..., :outputs].clone().requires_grad_(), NUMBERS[..., :outputs]
    own = sample_losses(loss, z, y)
    torch.testing.assert_close(own, torchs(z, y, reduction="none").mean(-1))
    (expected,) = torch.autograd.grad(own.sum() / 20, z)
    torch.testing.assert_close(logit_gradients(loss, z.detach().clone(), y, None, 20), expected)
    alone = sample_losses(loss, z[:1], y[:1])
    assert torch.equal(alone[0], own[0])


def test_the_measure_of_numbers_is_their_absolute_error_in_their_unit():
    one = sample_measures("squared", LOGITS[..., :1], NUMBERS[..., :1], unit=40.0)
    torch.testing.assert_close(one, 40 * (LOGITS[..., 0] - NUMBERS[..., 0]).abs())
    several = sample_measures("huber", LOGITS, NUMBERS)
    torch.testing.assert_close(several, (LOGITS - NUMBERS).abs().mean(-1))


def test_numbers_go_to_the_scale_of_training_and_back():
    scale = Scale.of({"mean": [10.0, -2.0], "std": [4.0, 0.5]})
    assert scale.standardised(np.array([[14.0, -2.0], [10.0, -1.0]])).tolist() == [[1.0, 0.0], [0.0, 2.0]]
    assert scale.in_units(np.array([[1.0, 0.0], [0.0, 2.0]])).tolist() == [[14.0, -2.0], [10.0, -1.0]]
    assert scale.unit == 1.0
    assert Scale.of({"mean": [10.0], "std": [4.0]}).unit == 4.0
    assert Scale.of({}) is None
    assert [chosen_loss("auto", "number", 0), chosen_loss("huber", "number", 0)] == ["squared", "huber"]
    assert num_outputs("squared", "number", 3) == 3


def test_numbers_of_several_rows_are_their_means():
    found = joined("squared", LOGITS, [4, 9])
    torch.testing.assert_close(found, torch.stack([LOGITS[:, :4].mean(1), LOGITS[:, 4:].mean(1)], dim=1))
