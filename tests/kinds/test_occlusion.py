"""Which parts there are, and what a kind of the user's own says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline import extensions
from pipeline.errors import ConfigError
from pipeline.kinds.heat import spread
from pipeline.kinds.occlusion import occlusion_of, squares


@pytest.mark.parametrize(("high", "wide"), [(8, 8), (28, 28), (1, 5), (224, 180), (3, 40)])
def test_squares_cover_everything_and_overlap(high: int, wide: int) -> None:
    every = squares(high, wide)
    covered = np.zeros((high, wide), int)
    for top, bottom, left, right in every:
        covered[top:bottom, left:right] += 1
    assert covered.min() >= 1
    assert len(every) == len(set(every)) <= 49
    if min(high, wide) >= 8:
        assert len(every) == 49
        assert covered.max() == 4
        assert abs((every[0].bottom - every[0].top) - high / 4) <= 1


def test_a_place_has_the_mean_of_the_squares_over_it() -> None:
    every = squares(2, 3)
    assert [tuple(square) for square in every] == [(0, 2, 0, 2), (0, 2, 1, 3)]
    assert spread(np.array([1.0, 0.0]), every).tolist() == [[1.0, 0.5, 0.0]] * 2


def test_a_kind_that_says_half_of_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, more in (("none", ""), ("half", "    hidden = num_parts = None\n")):
        (tmp_path / name).mkdir()
        text = f"from own_kinds import Series\nclass Own(Series):\n    more = 1\n{more}KINDS = {{'series': Own()}}\n"
        (tmp_path / name / extensions.FILE).write_text(text)
    monkeypatch.setattr(extensions, "_unpacked", [tmp_path / "none"])
    assert occlusion_of("series") is None
    monkeypatch.setattr(extensions, "_unpacked", [tmp_path / "half"])
    with pytest.raises(ConfigError, match=r"lacks HIDDEN, DRAWS, shown_parts .*evaluate.explain=0"):
        occlusion_of("series")
