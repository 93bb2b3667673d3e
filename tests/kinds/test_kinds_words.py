from __future__ import annotations

from pipeline.kinds.words import stands_for_missing


def test_words_for_missing_values() -> None:
    words = ["NA", "nan", "NaN", "None", "null", "n/a", "N/A", "-", "<NA>", "?"]
    assert [word for word in words if not stands_for_missing(word)] == []
    assert not stands_for_missing("nano")
    assert not stands_for_missing("0")
