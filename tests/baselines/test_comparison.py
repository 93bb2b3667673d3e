"""Which of two answers is better: McNemar's exact test is statsmodels', the paired interval holds what it says."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar as of_statsmodels

from pipeline.baselines.comparison import compared, mcnemar, paired_interval, scored, trivial_answer, units_of

ONE = np.ones(1)


@pytest.mark.parametrize(("one", "other"), [(0, 0), (5, 0), (9, 2), (30, 31), (4, 40)])
def test_mcnemar_is_statsmodels(one, other):
    expected = of_statsmodels([[7, one], [other, 3]], exact=True).pvalue if one + other else 1.0
    assert mcnemar(one, other) == pytest.approx(expected)


def test_the_interval_over_the_same_samples_covers_the_truth():
    rng, missed = np.random.default_rng(0), 0
    for _ in range(300):
        both = rng.random(200) < 0.8
        network, baseline = (np.where(rng.random(200) < 0.3, rng.random(200) < 0.5, both).astype(float) for _ in range(2))
        low, high = paired_interval(network - baseline)
        missed += not low <= 0 <= high
    assert missed / 300 <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5
    assert paired_interval(np.zeros(9)) == (0.0, 0.0)


def test_the_interval_is_the_bootstraps():
    values = np.random.default_rng(1).normal(0.3, 1.0, 400)
    low, high = paired_interval(values)
    error = values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.1 * error)
    assert (low, high) == paired_interval(values[::-1]), "no matter in what order the samples come"


def test_of_two_answers_the_better_one_is_named():
    right, wrong = np.ones(40), np.r_[np.ones(30), np.zeros(10)]
    found = compared(right, wrong, "single")
    assert (found["score"], found["network_score"], found["difference"], found["better"]) == (0.75, 1.0, 0.25, "network")
    assert found["p"] == pytest.approx(2 * 0.5**10)
    assert compared(wrong, right, "single")["better"] == "baseline"
    assert compared(right, np.r_[np.zeros(4), np.ones(36)], "single")["better"] == "neither", "p is 0.125"
    assert compared(right, right, "multi") == {"score": 1.0, "network_score": 1.0, "difference": 0.0, "difference_low": 0.0,
                                               "difference_high": 0.0, "p": None, "better": "neither"}  # fmt: skip


def test_of_errors_less_is_better():
    rng = np.random.default_rng(0)
    actual = rng.normal(size=200)
    own, other = (scored(actual, actual + each, "number", ONE) for each in (0.1, rng.normal(0, 1.0, 200)))
    found = compared(own, other, "number")
    assert found["network_score"] == pytest.approx(0.1)
    assert found["score"] == pytest.approx(0.8, abs=0.1)
    assert found["difference_low"] < found["difference"] < found["difference_high"] < 0
    assert (found["better"], compared(other, own, "number")["better"]) == ("network", "baseline")


def test_scores_are_of_samples():
    labels = np.array([[1, 0, 1, 1], [0, 0, 0, 0]])
    assert scored(labels, np.array([[1, 1, 1, 1], [0, 0, 0, 0]]), "multi", ONE).tolist() == [0.75, 1.0]
    several = np.array([[1.0, 100.0], [3.0, 300.0]])
    units = units_of(several, "number")
    assert units.tolist() == [1.0, 100.0]
    assert scored(several, several + np.array([[1.0, 0.0], [0.5, 50.0]]), "number", units).tolist() == [-0.5, -0.5]


def test_the_trivial_answer_is_that_of_the_training_samples():
    assert trivial_answer(np.array([0, 2, 2, 1]), "single", ["a", "b", "c"]) == (
        2,
        "always 'c', the most frequent class of the training samples",
    )
    assert trivial_answer(np.array([[1, 0], [1, 0], [0, 1]]), "multi", ["a", "b"])[0].tolist() == [1, 0]
    assert trivial_answer(np.array([1.0, 2.0, 9.0]), "number", [])[0] == 2.0
