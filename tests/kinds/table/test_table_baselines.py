"""What simple methods see of rows of tables."""

import numpy as np

from pipeline.kinds.table.baselines import baselines

NUMBER = {"name": "age", "type": "number", "missing": 1, "grid": [0.0, 1.0, 4.0], "exact": [2.0], "mean": 0.0, "std": 1.0}
TEXT = {"name": "city", "type": "category", "missing": 1, "counts": [3, 9, 1, 9], "kept": [0, 1, 3], "rest": True}
FIT = {"stored": [NUMBER, TEXT], "num_inputs": 4 + 5}
ROWS = np.array([[0.5, 1], [np.nan, 3], [2.0, 0], [9.0, 2], [1.0, -1], [1.0, np.nan]], np.float32)


def test_trees_see_the_most_frequent_texts_as_numbers():
    boosting = baselines(FIT, [2])[1]
    found = boosting.features(ROWS)
    assert (boosting.method, boosting.categories) == ("boosting", (1,))
    np.testing.assert_array_equal(found[:, 0], ROWS[:, 0])
    np.testing.assert_array_equal(found[:, 1], [0, 1, 2, np.nan, np.nan, np.nan])


def test_a_linear_method_sees_numbers_as_they_are_and_texts_as_switches():
    linear = baselines(FIT, [2])[0]
    assert linear.method == "linear"
    # the number, whether it is missing, then a switch for each frequent text, all rare ones, and none at all
    expected = [
        [0.5, 0, 0, 1, 0, 0, 0],
        [0.0, 1, 0, 0, 1, 0, 0],
        [2.0, 0, 1, 0, 0, 0, 0],
        [9.0, 0, 0, 0, 0, 1, 0],
        [1.0, 0, 0, 0, 0, 1, 0],
        [1.0, 0, 0, 0, 0, 0, 1],
    ]
    np.testing.assert_array_equal(linear.features(ROWS), np.array(expected, np.float32))
