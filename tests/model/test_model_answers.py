"""The answer on a sample that owns several rows: the mean of their probabilities, as logits of it."""

import numpy as np
import pytest
import torch

from pipeline.model import answers
from pipeline.model.answers import sample_logits
from pipeline.model.losses import joined, mean_answer, probabilities, sample_losses, sample_measures
from pipeline.model.stacked.spec import StackedSpec

OWNED = [1, 3, 2]
CASES = [("softmax", "single", 4), ("sigmoid", "single", 1), ("sigmoid", "multi", 3)]


def row_logits(outputs, lanes=2):
    return 3 * torch.randn(lanes, sum(OWNED), outputs, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(("loss", "task", "outputs"), CASES)
def test_probabilities_of_a_sample_are_the_means_of_its_rows(loss, task, outputs):
    logits = row_logits(outputs)
    found = joined(loss, logits, OWNED)
    assert found.shape == (2, 3, outputs)
    of_rows = probabilities(loss, task, logits)
    expected = torch.stack([part.mean(1) for part in of_rows.split(OWNED, dim=1)], dim=1)
    torch.testing.assert_close(probabilities(loss, task, found), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(probabilities(loss, task, found)[:, 0], of_rows[:, 0], rtol=1e-5, atol=1e-6)


def test_numbers_as_answers_have_their_own_mean():
    outputs = row_logits(2)
    expected = torch.stack([part.mean(1) for part in outputs.split(OWNED, dim=1)], dim=1)
    torch.testing.assert_close(joined("squared", outputs, OWNED), expected)


def test_the_loss_is_that_of_the_mean_answer():
    logits, labels = row_logits(4, lanes=1), torch.tensor([[1, 0, 3]])
    means = torch.stack([part.mean(0) for part in logits[0].softmax(-1).split(OWNED)])
    expected = -means[torch.arange(3), labels[0]].log()
    torch.testing.assert_close(sample_losses("softmax", joined("softmax", logits, OWNED), labels)[0], expected)
    assert torch.equal(
        sample_measures("softmax", joined("softmax", logits, OWNED), labels)[0], (means.argmax(-1) == labels[0]).float()
    )


def test_one_row_that_is_sure_and_wrong_does_not_undo_the_others():
    logits = torch.tensor([[[200.0, -200.0], [-1.0, 1.0], [-1.0, 1.0], [-1.0, 1.0]]])
    found = joined("softmax", logits, [4])
    assert found.isfinite().all()
    assert found[0, 0].argmax() == 1
    assert logits[0].mean(0).argmax() == 0, "as the mean of the logits themselves would"
    assert joined("sigmoid", torch.tensor([[[-300.0], [1.0]]]), [2]).isfinite().all()


@pytest.mark.parametrize(("loss", "task", "outputs"), CASES)
def test_a_network_of_a_stack_answers_as_it_does_alone(loss, task, outputs):
    logits = row_logits(outputs, lanes=5)
    together = joined(loss, logits, OWNED)
    for k in range(5):
        assert torch.equal(together[k : k + 1], joined(loss, logits[k : k + 1], OWNED))


def test_many_rows_of_a_sample_go_through_a_few_at_a_time(monkeypatch):
    net = StackedSpec((3,), 2, (), (4,), "relu", "none", "auto").build(2)
    net.initialise([0, 1])
    rows = torch.randn(sum(OWNED), 3, generator=torch.Generator().manual_seed(0))
    whole = sample_logits(net, lambda x: x, rows, np.array(OWNED), "softmax", 2)
    monkeypatch.setattr(answers, "MOST_ROWS", 2)
    torch.testing.assert_close(sample_logits(net, lambda x: x, rows, np.array(OWNED), "softmax", 2), whole)
    assert sample_logits(net, lambda x: x, rows, None, "softmax", 2).shape == (2, 6, 2)


@pytest.mark.parametrize(("loss", "task", "outputs"), CASES)
def test_probabilities_of_several_answers_are_their_means(loss, task, outputs):
    one, other = row_logits(outputs)
    found = probabilities(loss, task, mean_answer(loss, [one, other]))
    expected = (probabilities(loss, task, one) + probabilities(loss, task, other)) / 2
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert mean_answer(loss, [one]) is one


def test_numbers_of_several_answers_are_their_means():
    assert mean_answer("squared", [torch.tensor([[1.0, 4.0]]), torch.tensor([[3.0, 0.0]])]).tolist() == [[2.0, 2.0]]


def test_a_row_and_its_mirror_image_have_one_answer():
    net = StackedSpec((1, 2, 3), 4, (), (5,), "relu", "none", "auto").build(2)
    net.initialise([0, 1])
    rows = torch.randn(6, 1, 2, 3, generator=torch.Generator().manual_seed(0))
    own, turned = (sample_logits(net, lambda x: x, each, None, "softmax", 2) for each in (rows, rows.flip(-1)))
    found = sample_logits(net, lambda x: x, rows, None, "softmax", 2, mirror=lambda x: x.flip(-1))
    torch.testing.assert_close(found.softmax(-1), (own.softmax(-1) + turned.softmax(-1)) / 2)
    again = sample_logits(net, lambda x: x, rows.flip(-1), None, "softmax", 2, mirror=lambda x: x.flip(-1))
    torch.testing.assert_close(found, again)
