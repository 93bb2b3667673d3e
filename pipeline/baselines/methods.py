"""The simple methods: linear ones and boosted trees of scikit-learn, in bounded time. All else knows them as functions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pipeline.kinds.baselines import Method, Seen

Answer = Callable[[NDArray[np.float32]], NDArray[Any]]
"""Features (N, F) to labels, as a split has them."""

METHODS: dict[Method, tuple[str, str]] = {
    "linear": ("logistic regression", "ridge regression"),
    "boosting": ("gradient-boosted trees", "gradient-boosted trees"),
}
"""What answers with classes, and with numbers."""
MOST_ROWS, FEWEST_ROWS = 30_000, 1_000
PRODUCTS, STEPS = 1.5e8, (20, 150)
"""Of one step of a linear method over all rows, features and outputs; and steps."""
TREE_VALUES, TREES = 2e8, (20, 150)
"""Values that boosted trees read in all, over rows, features, outputs and trees; and trees."""
PENALTY = 1 / 8
"""Of a linear method, by features of variance 1 (ridge's alpha; the inverse of logistic regression's C): the best of what was
tried on digits (64 features: 10) and Fashion-MNIST (784 and 1296: 160), on validation samples."""


def method_words(one: Seen, task: str) -> str:
    """ "logistic regression on pixels"."""
    return f"{METHODS[one.method][task == 'number']} on {one.words}"


def fitted(features: NDArray[np.float32], labels: NDArray[Any], task: str, one: Seen) -> Answer:
    """The method of a baseline, on training features (N, F) and labels (N,) or (N, L)."""
    return (_linear if one.method == "linear" else _boosting)(features, labels, task, one)


def num_outputs(labels: NDArray[Any], task: str) -> int:
    """Numbers that a method has to fit for a sample."""
    if task == "single":
        classes = len(np.unique(labels))
        return 1 if classes == 2 else classes
    return 1 if labels.ndim == 1 else labels.shape[1]


def num_rows(one: Seen, width: int, outputs: int) -> int:
    """Training samples of so many features that one step of the method affords."""
    if one.method == "boosting":
        return MOST_ROWS
    return int(np.clip(PRODUCTS / (width * outputs), FEWEST_ROWS, MOST_ROWS))


def _linear(features: NDArray[np.float32], labels: NDArray[Any], task: str, one: Seen) -> Answer:
    """Logistic regression (of several labels one each) or ridge regression on standardised features."""
    if sparse.issparse(features):
        return _linear_sparse(features, labels, task, one)
    mean, deviation = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    scale = np.where(deviation > 0, deviation, 1.0)

    def standard(values: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = ((values - mean) / scale).astype(np.float32)
        return found

    prepared = standard(features)
    if task == "number":
        from sklearn.linear_model import Ridge

        model = Ridge(alpha=PENALTY * features.shape[1]).fit(prepared, labels)
        return lambda values: np.asarray(model.predict(standard(values)))
    strength = one.strength or 1 / (PENALTY * features.shape[1])
    answers = [_logistic(prepared, column, strength) for column in columns_of(labels)]
    return lambda values: side_by_side([answer(standard(values)) for answer in answers], labels)


def _linear_sparse(features: Any, labels: NDArray[Any], task: str, one: Seen) -> Answer:
    """The same on features as they are."""
    strength = one.strength or 1.0
    if task == "number":
        from sklearn.linear_model import Ridge

        model = Ridge(alpha=1 / strength, solver="sparse_cg").fit(features, labels)
        return lambda values: np.asarray(model.predict(values))
    answers = [_logistic(features, column, strength) for column in columns_of(labels)]
    return lambda values: side_by_side([answer(values) for answer in answers], labels)


def _logistic(features: Any, labels: NDArray[Any], strength: float) -> Answer:
    """Of one label; where that is always the same, always that. strength: scikit-learn's C."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if len(classes := np.unique(labels)) == 1:
        return lambda values: np.full(values.shape[0], classes[0])
    products = features.size * (1 if len(classes) == 2 else len(classes))
    steps = int(np.clip(STEPS[1] * PRODUCTS / products, *STEPS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a baseline takes no longer than it may
        model = LogisticRegression(C=strength, max_iter=steps).fit(features, labels)
    return lambda values: np.asarray(model.predict(values))


def _boosting(features: NDArray[np.float32], labels: NDArray[Any], task: str, one: Seen) -> Answer:
    """Gradient-boosted trees over histograms (LightGBM's way, Ke et al. 2017), one model for each label or number."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if task == "number" else HistGradientBoostingClassifier
    values = features.size * num_outputs(labels, task)
    trees = int(np.clip(TREE_VALUES / values, *TREES))
    answers = []
    for column in columns_of(labels):
        if len(np.unique(column)) == 1:
            answers.append(_always(column[0]))
        else:
            categories = list(one.categories) or None
            model = kind(max_iter=trees, categorical_features=categories, early_stopping=False, random_state=0)
            answers.append(model.fit(features, column).predict)
    return lambda found: side_by_side([answer(found) for answer in answers], labels)


def _always(value: Any) -> Answer:
    return lambda values: np.full(len(values), value)


def columns_of(labels: NDArray[Any]) -> list[NDArray[Any]]:
    """Each label by itself."""
    return [labels] if labels.ndim == 1 else list(labels.T)


def side_by_side(answers: Sequence[NDArray[Any]], labels: NDArray[Any]) -> NDArray[Any]:
    """One column for each label, as the labels have them."""
    return answers[0] if labels.ndim == 1 else np.stack(answers, 1)
