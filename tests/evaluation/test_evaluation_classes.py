import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from statsmodels.stats.proportion import proportion_confint

from pipeline.evaluation import classes as ev


def single(seed: int = 0, num: int = 500, num_classes: int = 7):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, num)
    logits = rng.normal(size=(num, num_classes)) + 2.0 * np.eye(num_classes)[labels]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, p.astype(np.float32), ev.predicted_labels(p, "single")


def multi(seed: int = 0, num: int = 400, num_classes: int = 5):
    rng = np.random.default_rng(seed)
    labels = (rng.random((num, num_classes)) < 0.3).astype(np.uint8)
    p = 1 / (1 + np.exp(-(rng.normal(size=labels.shape) + 3.0 * labels - 1.5)))
    return labels, p.astype(np.float32), ev.predicted_labels(p, "multi")


@pytest.mark.parametrize("num_classes", [2, 7, 77])
def test_single_label_metrics_equal_scikit_learn(num_classes):
    labels, _, predictions = single(num_classes=num_classes)
    scores = ev.class_scores(labels, predictions, num_classes)
    every = list(range(num_classes))
    precision, recall, f1, support = sk.precision_recall_fscore_support(labels, predictions, labels=every, zero_division=0)
    assert np.array_equal(scores.precision, precision)
    assert np.array_equal(scores.recall, recall)
    assert np.allclose(scores.f1, f1, atol=1e-15)
    assert np.array_equal(scores.support, support)
    assert ev.macro_f1(scores) == pytest.approx(sk.f1_score(labels, predictions, average="macro", zero_division=0), abs=1e-15)
    assert np.array_equal(
        ev.confusion_matrix(labels, predictions, num_classes), sk.confusion_matrix(labels, predictions, labels=every)
    )
    assert ev.sample_accuracy(labels, predictions).mean() == sk.accuracy_score(labels, predictions)
    assert ev.exact_match(labels, predictions) == sk.accuracy_score(labels, predictions)


def test_multi_label_metrics_equal_scikit_learn():
    labels, _, predictions = multi()
    scores = ev.class_scores(labels, predictions, 5)
    precision, recall, f1, support = sk.precision_recall_fscore_support(labels, predictions, zero_division=0)
    assert np.array_equal(scores.precision, precision)
    assert np.array_equal(scores.recall, recall)
    assert np.allclose(scores.f1, f1, atol=1e-15)
    assert np.array_equal(scores.support, support)
    assert ev.macro_f1(scores) == pytest.approx(sk.f1_score(labels, predictions, average="macro"), abs=1e-15)
    assert np.array_equal(ev.label_confusion(labels, predictions), sk.multilabel_confusion_matrix(labels, predictions))
    assert ev.exact_match(labels, predictions) == sk.accuracy_score(labels, predictions)
    assert ev.sample_accuracy(labels, predictions).mean() == pytest.approx(1 - sk.hamming_loss(labels, predictions))


def test_macro_f1_leaves_out_classes_that_occur_nowhere():
    labels, predictions = np.array([0, 0, 2]), np.array([0, 2, 2])
    expected = sk.f1_score(labels, predictions, average="macro")
    assert ev.macro_f1(ev.class_scores(labels, predictions, 9)) == pytest.approx(expected)


@pytest.mark.parametrize("task", ["single", "multi"])
@pytest.mark.parametrize("num_bins", [2, 10, 15])
def test_calibration_error_equals_the_one_of_scikit_learns_curve(task, num_bins):
    labels, p, predictions = single() if task == "single" else multi()
    confidence = ev.decision_confidence(p, predictions).ravel()
    right = (labels == predictions).ravel()
    bins = ev.reliability_bins(confidence, right, num_bins)
    share, mean = calibration_curve(right, confidence, n_bins=num_bins, strategy="uniform")
    filled = bins.counts > 0
    assert np.allclose(bins.accuracy[filled], share)
    assert np.allclose(bins.confidence[filled], mean)
    assert ev.calibration_error(bins) == pytest.approx((np.abs(share - mean) * bins.counts[filled]).sum() / len(right))
    assert bins.counts.sum() == len(right)


def test_calibration_error_equals_a_plain_loop():
    labels, p, predictions = single(num=60)
    confidence, right = ev.decision_confidence(p, predictions), labels == predictions
    total = 0.0
    for i in range(10):
        inside = [k for k in range(60) if i / 10 < confidence[k] <= (i + 1) / 10]
        if inside:
            total += abs(sum(right[k] for k in inside) - sum(confidence[k] for k in inside))
    assert ev.calibration_error(ev.reliability_bins(confidence, right, 10)) == pytest.approx(total / 60)


def test_calibration_error_of_an_honest_and_of_a_boasting_forecast():
    confidence = np.full(1000, 0.7)
    honest, boasting = np.arange(1000) < 700, np.arange(1000) < 400
    assert ev.calibration_error(ev.reliability_bins(confidence, honest, 15)) == pytest.approx(0.0)
    assert ev.calibration_error(ev.reliability_bins(confidence, boasting, 15)) == pytest.approx(0.3)


def test_full_confidence_falls_into_the_last_bin_and_none_is_lost():
    bins = ev.reliability_bins(np.array([1.0, 0.5, 1 / 3, 0.0]), np.array([1, 1, 0, 0]), 2)
    assert bins.counts.tolist() == [3, 1]


@pytest.mark.parametrize(("right", "num"), [(0, 1), (1, 1), (0, 40), (40, 40), (352, 360), (1, 10_000)])
def test_wilson_interval_equals_statsmodels(right, num):
    low, high = ev.wilson_interval(right, num)
    assert (low, high) == pytest.approx(proportion_confint(right, num, method="wilson"), abs=1e-12)
    assert 0.0 <= low <= right / num <= high <= 1.0


def test_wilson_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    draws = rng.binomial(100, 0.93, size=4000)
    covered = [low <= 0.93 <= high for low, high in (ev.wilson_interval(int(k), 100) for k in draws)]
    assert 0.93 < np.mean(covered) < 0.98


def test_wilson_interval_of_several_labels_is_not_too_narrow():
    labels, _, predictions = multi(num=4000)
    shares = ev.sample_accuracy(labels, predictions)
    means = shares.reshape(200, 20).mean(axis=1)
    covered = [low <= shares.mean() <= high for low, high in (ev.wilson_interval(20 * m, 20) for m in means)]
    assert np.mean(covered) >= 0.95


def test_two_classes_and_ties():
    p = np.array([[0.5, 0.5], [0.2, 0.8]], dtype=np.float32)
    assert ev.predicted_labels(p, "single").tolist() == [0, 1]
    assert ev.predicted_labels(p, "multi").tolist() == [[0, 0], [0, 1]]


def test_confidence_of_a_whole_answer():
    p = np.array([[0.9, 0.2, 0.5]])
    assert ev.sample_confidence(p, ev.predicted_labels(p, "multi")) == pytest.approx([0.9 * 0.8 * 0.5])
    assert ev.sample_confidence(p, ev.predicted_labels(p, "single")) == pytest.approx([0.9])
