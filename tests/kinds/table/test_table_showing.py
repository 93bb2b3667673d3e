from __future__ import annotations

import re

import numpy as np

from pipeline.kinds.showing import Parts
from pipeline.kinds.table.occlusion import hidden, part_names
from pipeline.kinds.table.showing import preview, shown, shown_parts

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


def test_columns_that_the_answer_came_from_come_first_with_what_it_is_without_them() -> None:
    row = np.array([40.5, 19723.0, 0.0, 0.0, 1.0], np.float32)
    markup = shown_parts(row, FIT, "right: a", Parts(np.array([0.25, -1.0, 0.0]), ["90.0%", "99.9%", "98.0%"]))
    cells = re.findall(
        r'<tr><th>([^<]*)</th><td>([^<]*)</td><td class="owed (\w+)"><span.*?--share:(.*?)"></span>(.*?)</td>', markup
    )
    assert cells == [
        ("joined", "2024-01-01", "against", "1.000", "99.9%"),
        ("age", "40.5", "for", "0.250", "90.0%"),
        ("&lt;city&gt;", "R&amp;D", "for", "0.000", "98.0%"),
    ]


def test_a_column_is_hidden_with_all_that_it_is_stored_as() -> None:
    rows, others = np.arange(10, dtype=np.float32).reshape(2, 5), np.full((2, 5), -1, np.float32)
    assert part_names(FIT) == ["age", "joined", "<city>"]
    assert hidden(rows, 1, FIT, others).tolist() == [[0, -1, -1, -1, 4], [5, -1, -1, -1, 9]]
    assert hidden(rows[0], 2, FIT, others[0]).tolist() == [0, 1, 2, 3, -1]
