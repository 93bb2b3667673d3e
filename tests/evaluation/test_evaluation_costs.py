"""The least cost, beside a slow search through every pair of thresholds."""

import itertools

import numpy as np
import pytest

from pipeline.evaluation.costs import Costs
from pipeline.evaluation.decisions import COSTS, decided_by, priced
from pipeline.evaluation.thresholds import chosen_thresholds


def made(num, seed=0):
    """Labels by probabilities that are true, of samples some of which are alike."""
    random = np.random.default_rng(seed)
    p = np.round(random.beta(0.7, 1.2, num), 2)
    return (random.random(num) < p).astype(np.int64), p


def cost_of(labels, p, costs, low, high, threshold=None):
    """Plainly: yes above `high`, no up to `low`, open between."""
    found = 0.0
    for label, chance in zip(labels, p, strict=True):
        if low < chance <= high and threshold is None:
            found += costs.abstain
        elif chance > (high if threshold is None else threshold):
            found += costs.false_positive * (label == 0)
        else:
            found += costs.false_negative * (label == 1)
    return found


LEVELS = np.r_[0.0, np.unique(made(60)[1]), 1.0]


@pytest.mark.parametrize("prices", [(1, 1, 0.2), (5, 1, 0.4), (1, 20, 0.9), (1, 1, 0.49), (2, 3, 0.01)])
def test_the_cut_is_the_cheapest_of_all_pairs(prices):
    labels, p = made(60)
    costs = Costs(*prices)
    cut = costs.cut(labels, p)
    best = min(cost_of(labels, p, costs, low, high) for low, high in itertools.combinations_with_replacement(LEVELS, 2))
    assert cost_of(labels, p, costs, cut.open_above, cut.open_to) == pytest.approx(best)
    assert cut.open_above <= cut.threshold <= cut.open_to
    inside = [t for t in LEVELS if cut.open_above <= t <= cut.open_to]
    answered = min((cost_of(labels, p, costs, 0, 0, t) for t in inside), default=None)
    if answered is not None:
        assert cost_of(labels, p, costs, 0, 0, cut.threshold) <= answered + 1e-9


@pytest.mark.parametrize("prices", [(1, 1), (5, 1), (1, 20)])
def test_without_abstaining_it_is_the_cheapest_threshold(prices):
    labels, p = made(60)
    costs = Costs(*prices, None)
    cut = costs.cut(labels, p)
    assert (cut.open_above, cut.open_to) == (None, None)
    assert cost_of(labels, p, costs, 0, 0, cut.threshold) == min(cost_of(labels, p, costs, 0, 0, t) for t in LEVELS)


def test_dear_mistakes_move_the_threshold_and_many_samples_find_that_of_chances():
    """Of true probabilities a yes pays above FP / (FP + FN), and open between A / FN and 1 - A / FP (Elkan 2001, Chow 1970)."""
    labels, p = made(200_000)
    assert Costs(1, 4, None).cut(labels, p).threshold == pytest.approx(0.2, abs=0.02)
    cut = Costs(1, 4, 0.4).cut(labels, p)
    assert (cut.open_above, cut.open_to) == (pytest.approx(0.1, abs=0.02), pytest.approx(0.6, abs=0.02))


def test_samples_of_one_label_alone_leave_the_threshold_to_chances():
    p = np.array([0.1, 0.5, 0.9])
    assert Costs(1, 3, None).cut(np.zeros(3, int), p).threshold == 0.25
    cut = Costs(1, 1, 0.2).cut(np.ones(3, int), p)
    assert (cut.threshold, cut.open_above, cut.open_to) == (0.5, 0.2, 0.8)
    assert Costs(1, 1, 0.9).cut(np.ones(3, int), p).open_above == 0.5  # not worth it: nothing lies between


def test_rare_labels_share_their_cut():
    labels, p = made(400)
    rare = np.zeros((400, 2), np.int64)
    rare[:6, 0], rare[50:63, 1] = 1, 1
    columns = np.c_[labels, rare]
    found = chosen_thresholds(columns, np.c_[p, p[::-1], np.roll(p, 9)], Costs(1, 2, 0.3).cut)
    assert found.shared == [1, 2]
    assert found.cuts[1] == found.cuts[2] != found.cuts[0]
    assert found.positives.tolist() == [int(labels.sum()), 6, 13]


def test_of_many_classes_the_least_sure_are_left_open():
    confidence = np.array([0.95, 0.9, 0.8, 0.8, 0.6, 0.5, 0.4])
    right = np.array([True, True, True, False, False, True, False])
    by_hand = {
        0: 7 * 0.3, 1: 6 * 0.3, 2: 5 * 0.3, 4: 3 * 0.3 + 1, 5: 2 * 0.3 + 2, 6: 0.3 + 2, 7: 3.0
    }  # fmt: skip
    assert min(by_hand, key=by_hand.__getitem__) == 2
    assert Costs(1, 1, 0.3).least_confidence(confidence, right) == pytest.approx(0.85)
    assert Costs(1, 1, None).least_confidence(confidence, right) is None
    assert Costs(1, 1, 0.9).least_confidence(confidence, right) == pytest.approx(0.45)  # the last is wrong
    assert Costs(1, 1, 0.3).least_confidence(confidence, right | True) == pytest.approx(0.2)  # all are given


def test_what_answers_cost_is_counted_by_hand():
    costs = Costs(2, 5, 0.5)
    labels, said = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert costs.of_samples(labels, said, None).tolist() == [0, 2, 5, 0]
    assert costs.of_samples(labels, said, np.array([False, True, False, True])).tolist() == [0, 0.5, 5, 0.5]
    several = costs.of_samples(labels.reshape(2, 2), said.reshape(2, 2), np.array([[True, False], [False, False]]))
    assert several.tolist() == [2.5, 5]
    assert costs.of_constants(labels, 2) == 0.5  # open; a yes costs 1, a no 2.5
    assert Costs(2, 5, None).of_constants(labels, 2) == 1
    assert Costs(2, 5, None).of_constants(labels.reshape(2, 2), 2) == costs_of_columns(labels.reshape(2, 2))
    assert Costs(1, 1, None).of_constants(np.array([0, 1, 1, 2]), 3) == 0.5


def costs_of_columns(labels):
    return sum(min(2 * (column == 0).mean(), 5 * (column == 1).mean()) for column in labels.T)


@pytest.mark.parametrize("abstain", [None, 0.25])
def test_decisions_of_each_task_are_priced(abstain):
    costs = Costs(1, 1, abstain)
    random = np.random.default_rng(1)
    chances = random.dirichlet([0.4] * 4, 500)
    labels = np.array([random.choice(4, p=own) for own in chances])
    found = decided_by(COSTS, costs, labels, chances, "single", np.full(4, 0.25))
    said, left_open = found.predictions(chances), found.left_open(chances)
    assert np.array_equal(said, chances.argmax(1))
    price = priced(costs, labels, chances, found)
    if abstain is None:
        assert left_open is None
        assert price.keys() == {"cost", "cost_low", "cost_high", "likelier_cost", "constant_cost"}
        assert price["cost"] == price["likelier_cost"] == (said != labels).mean()
        return
    assert np.array_equal(left_open, chances.max(1) <= found.least_confidence)
    assert price["abstained"] == left_open.mean()
    assert price["risk"] == (said != labels)[~left_open].mean()
    assert price["cost"] == pytest.approx(0.25 * left_open.mean() + ((said != labels) & ~left_open).mean())
    assert price["cost_low"] < price["cost"] < price["cost_high"]
    assert price["cost"] < price["likelier_cost"]
    several = (random.random((500, 3)) < chances[:, :3]).astype(np.int64)
    of_labels = decided_by(COSTS, costs, several, chances[:, :3], "multi", np.full(3, 0.25))
    assert of_labels.left_open(chances[:, :3]).shape == (500, 3)
    two = np.c_[1 - chances[:, 0], chances[:, 0]]
    of_two = decided_by(COSTS, costs, several[:, 0], two, "single", np.full(2, 0.5))
    (cut,) = of_two.thresholds.cuts
    assert np.array_equal(of_two.left_open(two), (two[:, 1] > cut.open_above) & (two[:, 1] <= cut.open_to))


def test_where_nothing_is_answered_there_is_no_risk():
    costs = Costs(1, 1, 0.01)
    labels, p = np.array([0, 1] * 30), np.full((60, 2), 0.5)
    found = decided_by(COSTS, costs, labels, p, "single", np.full(2, 0.5))
    price = priced(costs, labels, p, found)
    assert (price["abstained"], price["risk"], price["cost"]) == (1.0, None, pytest.approx(0.01))
