"""What is told of predictions beside single answers."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from pipeline.report.material import Predictions
from pipeline.report.run.separation import risk_of, separations, surest_table


def predictions(task, labels, said, p, classes):
    ids = np.arange(len(labels), dtype=np.uint64)
    columns = (np.array(labels), np.array(said), np.array(p, np.float32))
    return Predictions(task, [str(i) for i in ids], *columns, ids, classes, np.zeros(np.shape(said), bool))


TWO = predictions(
    "single", [0, 0, 0, 1, 1], [0, 0, 1, 1, 0], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.1, 0.9], [0.7, 0.3]], ["no", "yes"]
)
SEVERAL = predictions(
    "multi",
    [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]],
    [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]],
    [[0.9, 0.2, 0.1], [0.4, 0.6, 0.1], [0.45, 0.9, 0.2], [0.1, 0.7, 0.1]],
    ["a", "b", "never there"],
)


def test_of_two_classes_the_second_has_the_curve_and_the_answers_lie_beside_it():
    (found,) = separations(TWO)
    assert (found.name, found.num) == ("yes", 2)
    assert found.roc.value == pytest.approx(sk.roc_auc_score(TWO.labels, TWO.probabilities[:, 1]))
    assert (found.answers.false_rate, found.answers.recall) == (pytest.approx(1 / 3), 0.5)
    assert found.answers.precision == pytest.approx(0.5)


def test_of_several_labels_the_weakest_come_first_and_one_that_is_never_there_not_at_all():
    found = separations(SEVERAL)
    expected = {name: sk.average_precision_score(SEVERAL.labels[:, i], SEVERAL.probabilities[:, i])
                for i, name in enumerate("ab")}  # fmt: skip
    assert {each.name: each.precision.value for each in found} == pytest.approx(expected)
    assert [each.name for each in found] == sorted(expected, key=expected.__getitem__)
    assert found[[each.name for each in found].index("a")].answers.precision == 1


def test_a_class_that_is_never_answered_has_no_precision():
    never = predictions("single", [0, 1], [0, 0], [[0.9, 0.1], [0.6, 0.4]], ["no", "yes"])
    assert separations(never)[0].answers.precision is None
    alone = predictions("single", [0, 0], [0, 0], [[0.9, 0.1], [0.6, 0.4]], ["no", "yes"])
    assert separations(alone) == []


def test_the_surest_are_counted_by_hand():
    """Confidences 0.9 (right), 0.9 (right), 0.8 (wrong), 0.7 (wrong), 0.6 (right); equal ones go together."""
    found = risk_of(TWO)
    assert found.coverage == pytest.approx([0.4, 0.6, 0.8, 1.0])
    assert found.risk == pytest.approx([0, 1 / 3, 0.5, 0.4])
    assert found.area == pytest.approx(0.2 * (1 / 3 + 0.5 + 0.4))
    assert found.given is None
    rows = [(row.coverage, row.right, row.confidence) for row in surest_table(TWO)]
    assert rows == [pytest.approx(row) for row in [(0.6, 2 / 3, 0.8), (0.8, 0.5, 0.7), (1.0, 0.6, 0.6)]]


def test_of_several_labels_a_sample_is_right_in_all_of_them():
    assert risk_of(SEVERAL).risk[-1] == 0.5


def test_samples_with_an_open_answer_are_not_among_those_that_are_given():
    """Of the two that are whole one is right; where all are open there is no point."""
    left_open = np.array([[False] * 3, [True, False, False], [False] * 3, [False, True, True]])
    assert risk_of(replace(SEVERAL, abstained=left_open)).given == (0.5, 0.0)
    assert risk_of(replace(TWO, abstained=np.array([False, True, False, True, True]))).given == (0.4, 0.5)
    assert risk_of(replace(TWO, abstained=np.ones(5, bool))).given is None
