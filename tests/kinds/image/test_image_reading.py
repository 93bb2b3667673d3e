from __future__ import annotations

import numpy as np
import pytest
from data_samples import data_config

from pipeline.kinds.image.reading import fit, from_cell, mean_and_std
from pipeline.kinds.kind import BadSampleError, Layout


def test_statistics_are_exact() -> None:
    mean, std = mean_and_std([10**15 * 255], [10**15 * 255 * 255], 10**15, 255)
    assert (mean, std) == ([1.0], [0.0])
    assert mean_and_std([3], [5], 2, 1) == ([1.5], [0.5])


def test_what_is_fitted_is_that_of_all_rows_whatever_the_portions() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 5), dtype=np.uint8)
    layout = Layout((3, 4, 5), np.dtype(np.uint8), details={"value_range": [0, 4095]})
    found, notes = fit(iter(np.split(images, [7, 8])), layout)
    assert found == fit(iter([images]), layout)[0]
    assert found["mean"] == pytest.approx((images / 255).mean((0, 2, 3)).tolist(), rel=1e-12)
    assert (found["value_range"], notes) == ([0, 4095], [])
    images[:, 1] = 9
    assert fit(iter([images]), layout)[1] == ["a channel has the same value in every training sample"]


def test_cells_become_images_with_channels_last() -> None:
    plain, told = data_config("parquet", path="x"), data_config("parquet", path="x", size=[2, 3])
    assert from_cell(np.zeros((3, 8, 9), np.uint8), plain).shape == (8, 9, 3)
    assert from_cell(np.zeros((8, 9, 3), np.uint8), plain).shape == (8, 9, 3)
    assert from_cell(np.arange(6), told).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert [from_cell(np.zeros((2, 2), kind), plain).dtype for kind in (np.float64, np.uint8, np.int64)] == ["f4", "u1", "u2"]
    with pytest.raises(BadSampleError, match=r"array of 6 values in one row; set data.size"):
        from_cell(np.arange(6), plain)
