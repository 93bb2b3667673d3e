"""Metrics of numbers against scikit-learn, their intervals against the bootstrap."""

import numpy as np
import pytest
from sklearn import metrics as sk

from pipeline.evaluation.numbers import determination, error_ranges, mean_absolute_error, root_mean_squared_error

SCORES = {"mae": mean_absolute_error, "rmse": root_mean_squared_error, "r2": determination}
SKLEARN = {"mae": sk.mean_absolute_error, "rmse": sk.root_mean_squared_error, "r2": sk.r2_score}


def made(num=400, targets=1, seed=0):
    random = np.random.default_rng(seed)
    actual = random.gamma(2.0, 10.0, (num, targets))
    return actual, 4 + 0.7 * actual + random.standard_t(5, (num, targets)) * 4


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("targets", [1, 3])
def test_they_are_scikit_learns(name, targets):
    actual, predicted = made(targets=targets)
    expected = SKLEARN[name](actual, predicted)
    if name == "rmse":  # scikit-learn takes the mean of the roots
        expected = float(np.sqrt(((actual - predicted) ** 2).mean()))
    assert SCORES[name](actual, predicted).value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", SCORES)
def test_intervals_are_those_of_the_bootstrap(name):
    actual, predicted = made(1000)
    random = np.random.default_rng(1)
    draws = [random.integers(0, 1000, 1000) for _ in range(2000)]
    low, high = np.quantile([SCORES[name](actual[draw], predicted[draw]).value for draw in draws], [0.025, 0.975])
    own = SCORES[name](actual, predicted)
    assert own.low == pytest.approx(low, abs=0.1 * (high - low))
    assert own.high == pytest.approx(high, abs=0.1 * (high - low))


def test_where_nothing_can_be_said():
    one = np.array([[3.0]])
    assert (mean_absolute_error(one, one + 1).low, determination(one, one).value) == (None, None)
    same = np.full((5, 1), 2.0)
    assert determination(same, same + 1).value is None
    assert determination(*made(50)).high <= 1


def test_errors_of_small_and_large_numbers():
    actual = np.arange(10.0)[:, None]
    rows = error_ranges(["a"], actual, np.full((10, 1), 4.5))
    assert [(name, low, high, num) for name, low, high, num, _, _ in rows] == [
        ("a", 0.0, 1.0, 2),
        ("a", 2.0, 3.0, 2),
        ("a", 4.0, 5.0, 2),
        ("a", 6.0, 7.0, 2),
        ("a", 8.0, 9.0, 2),
    ]
    assert [(off, bias) for *_, off, bias in rows] == [(4.0, 4.0), (2.0, 2.0), (0.5, 0.0), (2.0, -2.0), (4.0, -4.0)]
    assert len(error_ranges(["a"], np.full((3, 1), 1.0), actual[:3])) == 1
