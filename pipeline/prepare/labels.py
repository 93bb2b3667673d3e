"""Labels as text, and the numbers that training sees."""

from __future__ import annotations

import math
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


def cell_text(value: object) -> str:
    """The text of a cell of any simple type, without surrounding blanks; "" where nothing is in it."""
    return "" if value is None or value != value else str(value).strip()


def label_text(value: object) -> str:
    """The text of a label of any simple type; BadSampleError where it is missing. Each number has one text."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # whole numbers become floats where a column has gaps
    if isinstance(value, float) and math.isinf(value):
        raise BadSampleError(f"label {value} is not a finite number")
    text = clean(str(value).lower() if isinstance(value, bool) else str(value))
    if value is None or value != value or not text:
        raise BadSampleError("label missing")
    return text


def number_texts(values: Sequence[object]) -> tuple[str, ...]:
    """The texts of one or several numbers of a row, of lists those of their items, in order."""
    flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return tuple(map(label_text, flat))


def split_labels(text: str, separator: str) -> tuple[str, ...]:
    """The labels in "a|b", each once, sorted; none for an empty text."""
    return tuple(sorted({clean(part) for part in text.split(separator)} - {""}))


def switched_labels(names: Sequence[str], values: Sequence[object]) -> tuple[str, ...]:
    """The names whose column says 1; BadSampleError where one says neither 0 nor 1."""
    for name, value in zip(names, values, strict=True):
        if not is_switch(value):
            raise BadSampleError(
                f"column {name} {f'says {value!r}' if cell_text(value) else 'is empty'}; 0 or 1 is allowed where data.label "
                "lists several columns; "
                "say data.target=number to predict their numbers"
            )
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
    """Per label set its class number (S,) int64 (-1: unknown), or 0s and 1s (S, classes) uint8 where there may be several.

    Of numbers their values (S,), or (S, targets) float64.
    """
    number = {name: i for i, name in enumerate(classes)}
    if task == "number":
        width = max(map(len, label_sets), default=1)
        unknown = ("nan",) * width  # of samples that can't be taken
        numbers = np.array([[float(text) for text in label_set or unknown] for label_set in label_sets], np.float64)
        return numbers[:, 0] if width == 1 else numbers
    if task == "single":
        return np.array([number.get(label_set[0], -1) if label_set else -1 for label_set in label_sets], np.int64)
    table = np.zeros((len(label_sets), len(classes)), np.uint8)
    for row, label_set in zip(table, label_sets, strict=True):
        row[[number[name] for name in label_set if name in number]] = 1
    return table
