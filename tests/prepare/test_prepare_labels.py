from __future__ import annotations

import pytest

from pipeline.kinds.kind import BadSampleError
from pipeline.prepare.labels import (
    cell_text,
    class_order,
    clean,
    encoded,
    label_text,
    split_labels,
    switched_labels,
    whole_numbers,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("007", "007"),
        ("NA", "NA"),
        ("nan", "nan"),
        (" cat ", "cat"),
        (7, "7"),
        (7.0, "7"),
        (True, "true"),
        ("e\u0301", "\u00e9"),
        ("two\r\nlines\u2028and three\n", r"two\nlines\nand three"),
    ],
)
def test_labels_are_text(value: object, text: str) -> None:
    assert label_text(value) == text


@pytest.mark.parametrize("value", [None, "", "  ", float("nan")])
def test_a_missing_label(value: object) -> None:
    with pytest.raises(BadSampleError, match="label missing"):
        label_text(value)


def test_a_measurement_has_one_text_and_is_finite() -> None:
    assert label_text(0.1 + 0.2) == "0.30000000000000004"
    with pytest.raises(BadSampleError, match="label inf is not a finite number"):
        label_text(float("inf"))


def test_several_labels() -> None:
    assert split_labels("b| a|b|", "|") == ("a", "b")
    assert split_labels("", "|") == ()
    assert switched_labels(["x", "y", "z"], ["1", 0, True]) == ("x", "z")
    with pytest.raises(BadSampleError, match="column y says '2'"):
        switched_labels(["x", "y"], ["1", "2"])


@pytest.mark.parametrize("value", [None, "", " ", float("nan")])
def test_an_empty_cell_is_named_as_one(value: object) -> None:
    assert cell_text(value) == ""
    with pytest.raises(BadSampleError, match=r"^column y is empty; 0 or 1 is allowed"):
        switched_labels(["x", "y"], [1, value])


def test_whole_numbers_sort_by_value_and_text_as_text() -> None:
    assert class_order(["10", "9", "-1"]) == ("-1", "9", "10")
    assert class_order(["10", "9", "007"]) == ("007", "10", "9")
    assert class_order(["10.5", "9.5", "-0.5"]) == ("-0.5", "9.5", "10.5")


def test_a_fraction_of_zeros_is_dropped_if_all_are_numbers() -> None:
    names = {"1": "1", "1.0": "1", "10.00": "10", "-2.0": "-2", "1.10": "1.10", "0.5": "0.5"}
    assert whole_numbers(names) == names
    assert set(whole_numbers(["-0.0", "0"]).values()) == {"0"}


@pytest.mark.parametrize("text", ["007", "1e3", "+1", "1.", ".5", "1_0", "٣", "nan", "cat", "1,0"])
def test_one_text_leaves_all_names_as_they_are(text: str) -> None:
    assert whole_numbers(["1", "1.0", text]) == {"1": "1", "1.0": "1.0", text: text}


def test_encoding() -> None:
    assert encoded([("b",), ("a",), ("gone",), ()], ["a", "b"], "single").tolist() == [1, 0, -1, -1]
    assert encoded([("b", "a"), (), ("b",)], ["a", "b"], "multi").tolist() == [[1, 1], [0, 0], [0, 1]]


def test_clean_composes_accents() -> None:
    assert clean("Cafe\u0301") == "Caf\u00e9"
