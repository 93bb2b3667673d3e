"""Balanced losses: their gradients, what makes them of the data as they are, and what they reach where classes are rare."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline.model.balance import Balance
from pipeline.model.targets import Targets

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(2, 40, 3, generator=GENERATOR)
CLASSES = torch.randint(0, 3, (2, 40), generator=GENERATOR)
SEVERAL = torch.randint(0, 2, (2, 40, 3), generator=GENERATOR).to(torch.uint8)
COUNTS, NUM = [70, 25, 5], 100


def gradient_of(loss, logits):
    z = logits.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(z), z)
    return found


def test_weights_are_those_of_torchs_cross_entropy():
    balance = Balance.of("weights", "softmax", COUNTS, NUM)
    weights = torch.tensor([NUM / (3 * count) for count in COUNTS])
    assert sum(count * weight for count, weight in zip(COUNTS, weights.tolist(), strict=True)) == pytest.approx(NUM)

    def loss(z):
        return F.cross_entropy(z.flatten(0, 1), CLASSES.flatten(), weight=weights, reduction="sum") / 64

    found = balance.gradients(Targets(CLASSES), LOGITS.clone(), None, 64)
    torch.testing.assert_close(found, gradient_of(loss, LOGITS))


def test_weights_of_labels_and_of_two_classes():
    balance = Balance.of("weights", "sigmoid", COUNTS, NUM)
    shares = torch.tensor(COUNTS) / NUM

    def loss(z):
        weights = torch.where(SEVERAL == 1, 0.5 / shares, 0.5 / (1 - shares))
        return (F.binary_cross_entropy_with_logits(z, SEVERAL.float(), reduction="none") * weights).sum() / (64 * 3)

    found = balance.gradients(Targets(SEVERAL), LOGITS.clone(), None, 64)
    torch.testing.assert_close(found, gradient_of(loss, LOGITS))
    two = Balance.of("weights", "sigmoid", [20], NUM)
    labels = (CLASSES == 1).long()
    assert two.weights(labels, LOGITS[..., :1]).unique().tolist() == pytest.approx([0.625, 2.5])
    assert two.shift == (pytest.approx(np.log(0.25)),)


def test_adjusted_logits_are_those_of_menon():
    balance = Balance.of("logits", "softmax", COUNTS, NUM)
    shift = torch.log(torch.tensor(COUNTS) / NUM)

    def loss(z):
        return F.cross_entropy((z + shift).flatten(0, 1), CLASSES.flatten(), reduction="sum") / 64

    torch.testing.assert_close(balance.gradients(Targets(CLASSES), LOGITS.clone(), None, 64), gradient_of(loss, LOGITS))
    torch.testing.assert_close(balance.shifted(LOGITS), LOGITS + shift)


def test_drawn_samples_have_the_plain_loss_and_answers_of_the_true_shares():
    balance = Balance.of("sampling", "softmax", COUNTS, NUM)

    def loss(z):
        return F.cross_entropy(z.flatten(0, 1), CLASSES.flatten(), reduction="sum") / 64

    torch.testing.assert_close(balance.gradients(Targets(CLASSES), LOGITS.clone(), None, 64), gradient_of(loss, LOGITS))
    equal = balance.shifted(torch.zeros(3)).softmax(-1)  # as if all classes were equally frequent
    torch.testing.assert_close(equal, torch.tensor(COUNTS) / NUM)


@pytest.mark.parametrize("mode", ["weights", "logits"])
@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_what_is_learned_has_the_true_shares_after_the_shift(mode, loss):
    """A network of a constant alone: at its optimum the corrected probabilities are the frequencies of the labels."""
    if loss == "softmax":
        balance, labels = (
            Balance.of(mode, loss, COUNTS, NUM),
            torch.repeat_interleave(torch.arange(3), torch.tensor(COUNTS))[None],
        )
        z, expected = torch.zeros(3), torch.tensor(COUNTS) / NUM
    else:
        balance, labels = Balance.of(mode, loss, [20], NUM), (torch.arange(NUM) < 20).long()[None]
        z, expected = torch.zeros(1), torch.tensor([0.2])
    for _ in range(3000):
        outputs = z.expand(1, NUM, -1).clone()
        z = z - 0.5 * balance.gradients(Targets(labels), outputs, None, NUM).sum((0, 1))
    found = balance.shifted(z)
    torch.testing.assert_close(found.softmax(-1) if loss == "softmax" else found.sigmoid(), expected, atol=1e-3, rtol=0)


def test_a_class_that_training_lacks_is_finite():
    assert np.isfinite(Balance.of("logits", "softmax", [100, 0], NUM).shift).all()
    assert Balance.of("none", "softmax", COUNTS, NUM) is None


def test_weights_are_one_on_average_of_what_is_trained_on():
    labels = torch.tensor([0] * 15 + [1] * 4 + [2])
    balance = Balance.of("weights", "softmax", COUNTS, NUM).trained_on(labels)
    weights = balance.weights(labels.unsqueeze(0), LOGITS)
    assert weights.mean().item() == pytest.approx(1)
    assert [weights[0, labels == c].sum().item() for c in range(3)] == pytest.approx([20 / 3] * 3)
    assert balance.shift == Balance.of("weights", "softmax", COUNTS, NUM).shift
    several = Balance.of("weights", "sigmoid", COUNTS, NUM).trained_on(SEVERAL[0])
    assert several.trained == pytest.approx((SEVERAL[0].sum(0) / 40).tolist())
    one = Balance.of("logits", "sigmoid", [20], NUM).trained_on((CLASSES[0] == 1).long())
    assert one.trained == pytest.approx(((CLASSES[0] == 1).float().mean().item(),))
