"""Which columns answers depend on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from planted import columned

from pipeline import keyed
from pipeline.data.dataset import Dataset
from pipeline.evaluation.decisions import Decision
from pipeline.explanation.asked import Asked
from pipeline.explanation.permutation import importances
from pipeline.explanation.record import Importance
from pipeline.kinds.occlusion import occlusion_of, part_names


def found(data: Dataset, asked: Asked) -> dict[str, Importance]:
    occlusion, decision = occlusion_of("table"), None if asked.predictor.targets else Decision("single")
    names = part_names(occlusion, data.manifest.fit)
    return {one.column: one for one in importances(asked, decision, occlusion, names, data.split("test"))}


def test_a_column_that_decides_is_important_and_noise_is_not(tmp_path: Path) -> None:
    data, asked = columned(tmp_path, 1500)
    columns = found(data, asked)
    assert list(columns) == ["a", "noise", "town"]
    assert columns["a"].is_used
    assert columns["a"].accuracy == pytest.approx(0.5, abs=0.07), "as if it were thrown dice for"
    for name in ("noise", "town"):
        assert columns[name].low <= 0 <= columns[name].high, name
        assert abs(columns[name].worse) < 0.1 * columns["a"].worse
    assert found(data, asked) == columns


def test_of_numbers_in_their_own_unit(tmp_path: Path) -> None:
    data, asked = columned(tmp_path, numbers=True)
    columns = found(data, asked)
    # Two numbers of deviation 10 are 2 / sqrt(pi) * 10 apart on average.
    assert columns["a"].worse == pytest.approx(11.3, abs=3)
    assert columns["a"].accuracy is None
    assert columns["noise"].low <= 0 <= columns["noise"].high


def test_the_order_is_that_of_samples_not_of_places() -> None:
    ids = np.arange(50, dtype=np.uint64) * np.uint64(977)
    order = keyed.permuted(ids, 1)
    assert sorted(order.tolist()) == list(range(50))
    assert order.tolist() != keyed.permuted(ids, 2).tolist()
    assert ids[::-1][keyed.permuted(ids[::-1].copy(), 1)].tolist() == ids[order].tolist()
