"""Curves, areas and thresholds against scikit-learn, with ties; the temperature against scipy."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn import metrics as sk

from pipeline.evaluation.curves import average_precision, curve_of, roc_area
from pipeline.evaluation.temperature import fitted_temperature, sigmoid_loss, softmax_loss
from pipeline.evaluation.thresholds import by_rule, chosen_thresholds, risk_area, risk_coverage


def made(num=500, seed=0, digits=None, share=0.3):
    random = np.random.default_rng(seed)
    labels = (random.random(num) < share).astype(np.int64)
    scores = 1 / (1 + np.exp(-(1.5 * labels - 1 + random.normal(size=num))))
    return labels, scores if digits is None else scores.round(digits)


@pytest.mark.parametrize("digits", [None, 2, 1])
def test_areas_are_scikit_learns_with_ties_too(digits):
    labels, scores = made(digits=digits)
    assert roc_area(labels, scores).value == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(labels, scores).value == pytest.approx(sk.average_precision_score(labels, scores), abs=1e-12)
    curve = curve_of(labels, scores)
    precision, recall, thresholds = sk.precision_recall_curve(labels, scores)
    assert np.allclose(curve.precision[::-1], precision[:-1])
    assert np.allclose(curve.recall[::-1], recall[:-1])
    assert np.array_equal(curve.thresholds[::-1], thresholds)
    false_rate, true_rate, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    assert np.allclose(curve.false_rate, false_rate[1:])
    assert np.allclose(curve.recall, true_rate[1:])


def test_intervals_cover_the_true_area_as_often_as_they_say():
    truth = roc_area(*made(400_000, seed=99)).value
    found = [roc_area(*made(150, seed=seed)) for seed in range(400)]
    assert 0.92 < np.mean([area.low <= truth <= area.high for area in found]) < 0.98
    truth = average_precision(*made(400_000, seed=99)).value
    found = [average_precision(*made(150, seed=seed)) for seed in range(400)]
    assert np.mean([area.low <= truth <= area.high for area in found]) > 0.92


def test_one_label_alone_has_no_curve():
    for labels in (np.zeros(5), np.ones(5)):
        assert curve_of(labels, np.arange(5.0)) is None
        assert roc_area(labels, np.arange(5.0)) is None
        assert average_precision(labels, np.arange(5.0)) is None
    assert roc_area(np.array([0, 1]), np.array([0.1, 0.9])).value == 1
    few = roc_area(np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.8, 0.9]))
    assert (few.value, few.high) == (1, 1)
    assert few.low < 0.4, "two samples show little"
    assert average_precision(np.array([0, 0, 1]), np.array([0.1, 0.2, 0.9])).low < 0.3
    assert roc_area(np.array([0, 1, 0, 1]), np.full(4, 0.5)).value == 0.5


def test_an_average_precision_near_1_is_not_anything_from_0_to_1():
    """Over the logit, 0.999 of 32 samples would be 0.01 to 1."""
    labels = np.r_[np.ones(32), np.zeros(300)]
    scores = np.linspace(1, 0, 332)
    scores[[31, 32]] = scores[[32, 31]]
    area = average_precision(labels, scores)
    assert area.value == pytest.approx(1 - (1 - 32 / 33) / 32)
    assert 0.88 < area.low < area.value < area.high <= 1


def test_a_threshold_keeps_its_rule():
    labels, p = made(200)
    for rule in ("f1", "precision>=0.8", "recall>=0.9"):
        own = chosen_thresholds(labels[:, None], p[:, None], by_rule(rule)).values[0]
        said = p > own
        best = max(sk.f1_score(labels, p > t) for t in np.r_[0, p])
        if rule == "f1":
            assert sk.f1_score(labels, said) == pytest.approx(best)
        elif rule.startswith("precision"):
            assert sk.precision_score(labels, said) >= 0.8
            others = [sk.recall_score(labels, p > t) for t in p if sk.precision_score(labels, p > t, zero_division=0) >= 0.8]
            assert sk.recall_score(labels, said) >= max(others)
        else:
            assert sk.recall_score(labels, said) >= 0.9
            others = [sk.precision_score(labels, p > t, zero_division=0) for t in p if sk.recall_score(labels, p > t) >= 0.9]
            assert sk.precision_score(labels, said) >= max(others)


def test_labels_with_few_positives_share_a_threshold_and_what_is_missed_is_named():
    labels, p = made(900)
    columns = np.stack(
        [labels, np.r_[np.ones(5, int), np.zeros(895, int)], np.r_[np.zeros(890, int), np.ones(10, int)]], axis=1
    )
    chances = np.stack([p, p[::-1], np.roll(p, 7)], axis=1)
    found = chosen_thresholds(columns, chances, by_rule("precision>=1.0"))
    assert found.shared == [1, 2]
    assert found.values[1] == found.values[2] != found.values[0]
    assert found.positives.tolist() == [int(labels.sum()), 5, 10]
    assert set(found.missed) <= {0, 1, 2}
    worse = chosen_thresholds(labels[:, None], np.full((900, 1), 0.4), by_rule("precision>=0.9"))
    assert worse.missed == [0]


def test_the_risk_of_the_answers_that_are_given():
    coverage, risk = risk_coverage(np.array([0.9, 0.8, 0.8, 0.6]), np.array([1, 1, 0, 0]))
    assert coverage.tolist() == [0.25, 0.75, 1.0]
    assert risk.tolist() == [0.0, pytest.approx(1 / 3), 0.5]
    assert risk_area(coverage, risk) == pytest.approx(0.5 / 3 + 0.25 * 0.5)


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_the_temperature_is_that_of_the_smallest_loss(scale):
    random = np.random.default_rng(0)
    truth = random.normal(size=(2000, 5))
    chances = np.exp(truth) / np.exp(truth).sum(1, keepdims=True)
    labels = np.array([random.choice(5, p=own) for own in chances])
    loss = softmax_loss(scale * truth, labels)
    found = fitted_temperature(loss)
    assert found == pytest.approx(scale, rel=0.1)
    best = minimize_scalar(lambda t: loss(float(np.exp(t))), bounds=(-3, 3), method="bounded", options={"xatol": 1e-9})
    assert found == pytest.approx(float(np.exp(best.x)), rel=1e-4)
    several = (random.random(truth.shape) < 1 / (1 + np.exp(-truth))).astype(int)
    assert fitted_temperature(sigmoid_loss(scale * truth, several)) == pytest.approx(scale, rel=0.1)
