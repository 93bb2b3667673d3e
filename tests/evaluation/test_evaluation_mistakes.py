"""The worst mistakes, the worst first."""

from __future__ import annotations

import numpy as np

from pipeline.evaluation.mistakes import largest_errors, surest_mistakes


def test_of_one_label_the_surest_wrong_answers() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4], [0.9, 0.1]])
    found = surest_mistakes(np.array([1, 1, 0, 1, 1]), p.argmax(axis=1), p, 3)
    assert found.samples.tolist() == [0, 4, 2]
    assert found.of.tolist() == [0, 0, 1]
    assert np.allclose(found.size, [0.9, 0.9, 0.7])


def test_of_several_labels_the_surest_wrong_one_of_each_sample() -> None:
    p = np.array([[0.9, 0.4], [0.55, 0.02], [0.1, 0.1]])
    labels = np.array([[0, 1], [1, 1], [0, 0]])
    found = surest_mistakes(labels, (p > 0.5).astype(np.int64), p, 9)
    assert found.samples.tolist() == [1, 0]
    assert found.of.tolist() == [1, 0]
    assert np.allclose(found.size, [0.98, 0.9])


def test_of_numbers_in_their_deviations() -> None:
    actual, said = np.array([[1.0, 100.0], [2.0, 200.0]]), np.array([[1.5, 300.0], [5.0, 200.0]])
    found = largest_errors(actual, said, [1.0, 100.0], 2)
    assert found.samples.tolist() == [1, 0]
    assert found.of.tolist() == [0, 1]
    assert found.size.tolist() == [3.0, 2.0]
