"""Labels as text, and the numbers that training sees."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kinds.kind import BadSampleError

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
"""No blanks, exponents or leading zeros: "007", "1e3" and "+1" are text."""
_ZERO_FRACTION = re.compile(r"\.0+")


def clean(text: str) -> str:
    r"""A label on one line, `\n` between those that it had, without surrounding blanks, its accents composed: some systems
    store "é" as two characters, others as one.
    """
    return r"\n".join(unicodedata.normalize("NFC", text).strip().splitlines())


def label_text(value: object) -> str:
    """The text of a label of any simple type; BadSampleError where it is missing or a measurement."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # whole numbers become floats where a column has gaps
    if isinstance(value, float) and value == value:
        raise BadSampleError(f"label {value} is not a class; numbers with a fraction can't be classified")
    text = clean(str(value).lower() if isinstance(value, bool) else str(value))
    if value is None or value != value or not text:
        raise BadSampleError("label missing")
    return text


def split_labels(text: str, separator: str) -> tuple[str, ...]:
    """The labels in "a|b", each once, sorted; none for an empty text."""
    return tuple(sorted({clean(part) for part in text.split(separator)} - {""}))


def switched_labels(names: Sequence[str], values: Sequence[object]) -> tuple[str, ...]:
    """The names whose column says 1; BadSampleError where one says neither 0 nor 1."""
    for name, value in zip(names, values, strict=True):
        if not is_switch(value):
            raise BadSampleError(f"column {name} says {value!r}; 0 or 1 is allowed where data.label lists several columns")
    return tuple(sorted(name for name, value in zip(names, values, strict=True) if _SWITCH[str(value).strip().lower()]))


def is_switch(value: object) -> bool:
    """Whether a cell says 0 or 1."""
    return str(value).strip().lower() in _SWITCH


_SWITCH = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


def class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Class names sorted: by value if all are numbers, else as text ("007" is text)."""
    unique = sorted(set(names))
    return tuple(sorted(unique, key=Decimal)) if _are_numbers(unique) else tuple(unique)


def whole_numbers(names: Iterable[str]) -> dict[str, str]:
    """By each name the one that stands for it: if all are numbers, "1" for "1.0"; else itself. "1.10" is not "1.1"."""
    unique = set(names)
    numbers = _are_numbers(unique)
    return {name: _without_zero_fraction(name) if numbers else name for name in unique}


def _are_numbers(names: Iterable[str]) -> bool:
    return all(_NUMBER.fullmatch(name) for name in names)


def _without_zero_fraction(number: str) -> str:
    whole, point, fraction = number.partition(".")
    return str(int(whole)) if _ZERO_FRACTION.fullmatch(point + fraction) else number


def encoded(label_sets: Sequence[tuple[str, ...]], classes: Sequence[str], task: str) -> NDArray[Any]:
    """Per label set its class number (S,) int64 (-1: unknown), or 0s and 1s (S, classes) uint8 where there may be several."""
    number = {name: i for i, name in enumerate(classes)}
    if task == "single":
        return np.array([number.get(label_set[0], -1) if label_set else -1 for label_set in label_sets], np.int64)
    table = np.zeros((len(label_sets), len(classes)), np.uint8)
    for row, label_set in zip(table, label_sets, strict=True):
        row[[number[name] for name in label_set if name in number]] = 1
    return table
