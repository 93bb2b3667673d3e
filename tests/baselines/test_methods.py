"""The simple methods on scikit-learn's own data: as good as they are known to be, for each kind of target."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from pipeline.baselines import methods
from pipeline.kinds.baselines import Seen

LINEAR = Seen("linear", "its values", "linear", lambda rows: rows)
BOOSTING = Seen("boosting", "its columns", "boosting", lambda rows: rows)


def halves(data):
    order = np.random.default_rng(0).permutation(len(data.target))
    features, target = data.data[order].astype(np.float32), data.target[order]
    return features[::2], target[::2], features[1::2], target[1::2]


@pytest.mark.parametrize(("one", "least"), [(LINEAR, 0.95), (BOOSTING, 0.93)])
def test_one_of_two_classes(one, least):
    train, labels, test, truth = halves(load_breast_cancer())
    answer = methods.fitted(train, labels, "single", one)
    assert (answer(test) == truth).mean() > least
    assert (methods.fitted(train, labels, "single", one)(test) == answer(test)).all()


@pytest.mark.parametrize("one", [LINEAR, BOOSTING])
def test_several_labels_are_answered_each_by_itself(one):
    train, labels, test, _ = halves(load_breast_cancer())
    several = np.stack([labels, 1 - labels, np.zeros_like(labels)], 1).astype(np.uint8)
    found = methods.fitted(train, several, "multi", one)(test)
    assert found.shape == (len(test), 3)
    assert (found[:, 0] == methods.fitted(train, labels, "single", one)(test)).all()
    assert (found[:, 0] != found[:, 1]).mean() > 0.99
    assert (found[:, 2] == 0).all(), "a label that no training sample has"


@pytest.mark.parametrize(("one", "most"), [(LINEAR, 50.0), (BOOSTING, 56.0)])
def test_numbers(one, most):
    train, values, test, truth = halves(load_diabetes())
    errors = np.abs(methods.fitted(train, values, "number", one)(test) - truth)
    assert errors.mean() < most < np.abs(np.median(values) - truth).mean()
    several = methods.fitted(train, np.stack([values, -values], 1), "number", one)(test)
    assert several[:, 0] == pytest.approx(-several[:, 1], rel=0.02)


def test_boosting_tells_categories_apart_and_takes_what_is_missing():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 9, 600).astype(np.float32)
    labels = np.isin(codes, [1, 4, 6]).astype(np.int64)
    features = np.stack([codes, rng.normal(size=600).astype(np.float32)], 1)
    features[::7, 1] = np.nan
    answer = methods.fitted(features, labels, "single", Seen("b", "b", "boosting", lambda rows: rows, (0,)))
    assert (answer(features) == labels).all()


def test_large_data_is_fitted_in_part():
    assert methods.num_rows(LINEAR, 784, 10) == 19132
    assert methods.num_rows(LINEAR, 8, 1) == methods.MOST_ROWS
    assert methods.num_rows(LINEAR, 10**6, 1000) == methods.FEWEST_ROWS
    assert methods.method_words(LINEAR, "number") == "ridge regression on its values"
