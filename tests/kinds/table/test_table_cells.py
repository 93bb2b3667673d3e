from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.kinds.table import cells


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5.0), ("-1.5e3", -1500.0), ("+5", 5.0), (".5", 0.5), ("5.", 5.0), ("1_0", None), ("5f", None), ("inf", None),
     ("nan", None), ("1e400", None), ("", None), ("12 kg", None), ("0x10", None), ("1,5", None)],
)  # fmt: skip
def test_a_cell_is_a_finite_number_or_none(text: str, value: float | None) -> None:
    for others in ([], ["x"]):  # all numbers take another way than some
        values, are = cells.numbers(pa.array([text, *others]))
        assert are[0] == (value is not None)
        assert values[0] == value or (value is None and np.isnan(values[0]))


@pytest.mark.parametrize(
    ("text", "order", "moment"),
    [
        ("2024-02-29", "y-m-d", "2024-02-29T00:00:00"),
        ("2023-02-29", "y-m-d", None),
        ("2024-2-3 4:05", "y-m-d", "2024-02-03T04:05:00"),
        ("2024-02-03T04:05:06.789Z", "y-m-d", "2024-02-03T04:05:06"),
        ("2024-02-03 25:00", "y-m-d", None),
        ("2024-02-03T04:05:06+02:00", "y-m-d", None),
        ("1900/12/31", "y/m/d", "1900-12-31T00:00:00"),
        ("31.12.2020", "d.m.y", "2020-12-31T00:00:00"),
        ("12/31/2020", "m/d/y", "2020-12-31T00:00:00"),
        ("12/31/2020", "d/m/y", None),
        ("0/1/2020", "d/m/y", None),
        ("soon", "y-m-d", None),
    ],
)
def test_a_cell_is_a_date_that_there_is_or_none(text: str, order: str, moment: str | None) -> None:
    seconds, are = cells.dates(pa.array([text, "2000-01-01"]), order)
    assert are[0] == (moment is not None)
    if moment:
        assert np.datetime64(int(seconds[0]), "s") == np.datetime64(moment)
