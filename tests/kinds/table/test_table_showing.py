from __future__ import annotations

import numpy as np

from pipeline.kinds.table.showing import preview, shown

FIT = {
    "columns": [
        {"name": "age", "type": "number"},
        {"name": "joined", "type": "date", "order": "y-m-d"},
        {"name": "<city>", "type": "category", "values": ["Oslo", "R&D"]},
    ]
}


def test_a_row_is_a_table_of_names_and_values() -> None:
    row = np.array([40.5, 19723.0, 0.0, 0.0, 1.0], np.float32)
    markup = shown(row, FIT, "right: a")
    assert markup == (
        '<table class="cells" aria-label="right: a"><tr><th>age</th><td>40.5</td></tr>'
        "<tr><th>joined</th><td>2024-01-01</td></tr><tr><th>&lt;city&gt;</th><td>R&amp;D</td></tr></table>"
    )
    assert "missing" in shown(np.full(5, np.nan, np.float32), FIT, "")
    assert "another" in shown(np.array([1, 1, 1, 1, -1], np.float32), FIT, "")


def test_there_is_no_picture_of_what_a_policy_does() -> None:
    assert preview([], None) is None
