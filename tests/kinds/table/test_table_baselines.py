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


def test_a_linear_method_sees_the_networks_inputs():
    linear = baselines(FIT, [2])[0]
    found = linear.features(ROWS)
    assert (linear.method, found.shape) == ("linear", (6, 9))
    assert found[0, :4].tolist() == [0.5, 0.0, 0.0, 0.0]
    assert found[1, :4].tolist() == [0.0, 0.0, 0.0, 1.0]
