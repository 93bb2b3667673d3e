"""What the training rows of a table teach: of numbers grids, exact values and quantiles, of categories counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kinds.kind import Fit
from pipeline.kinds.table.columns import Stored, columns_in, listed
from pipeline.wording import counted, so_many

SAMPLED = 2**18
"""Rows by which quantiles are found: the first ones, which are a random sample since contents decide the order."""
EXACT = 300
"""A number of at most so many different values in training has its frequent ones told apart."""
QUANTILES = 101
MOST_INPUTS = 8192
"""Of a row: beyond, numbers get fewer pieces, and then no exact values."""


def fit(rows: Iterator[NDArray[Any]], details: Mapping[str, Any]) -> tuple[Fit, list[str]]:
    """What was learned, and notes. `stored` lists what each value of a row is, in their order.

    Of a number: mean, deviation and quantiles for augmentation, `grid` and `exact` for the encoding. Of a category: how often
    each of its texts occurs (`counts`), and the places of those with an input of their own (`kept`); `rest`: whether the
    others have one together. Of both: how often it is missing.
    """
    columns = columns_in(details)
    parts = [part for column in columns for part in column.stored()]
    learning = [_Numbers() if part.type == "number" else _Counts(len(part.values)) for part in parts]
    num = 0
    for portion in rows:
        num += len(portion)
        for own, values in zip(learning, np.ascontiguousarray(portion.T), strict=True):
            own.add(values)
    bins, exact, notes = _afforded(learning, details["bins"], details["rare"])
    stored = [{"name": part.name, "type": part.type, **own.learned(bins, exact, details["rare"])}
              for part, own in zip(parts, learning, strict=True)]  # fmt: skip
    notes += [note for part, own in zip(parts, learning, strict=True) for note in own.notes(part, num, details["rare"])]
    return {
        "columns": listed(columns),
        "left_out": dict(details["left_out"]),
        "num_inputs": num_inputs(stored),
        "stored": stored,
    }, notes


def num_inputs(stored: list[dict[str, Any]]) -> int:
    """Inputs that a row becomes: pieces of numbers, exact values, categories, what is missing."""
    return sum(_num_of(own) for own in stored)


def _num_of(own: Mapping[str, Any]) -> int:
    if own["type"] == "number":
        return max(0, len(own["grid"]) - 1) + len(own["exact"]) + bool(own["missing"])
    return len(own["kept"]) + bool(own["rest"]) + bool(own["missing"])


def _afforded(learning: list[Any], bins: int, rare: int) -> tuple[int, bool, list[str]]:
    """How many pieces a number may have, and whether its exact values are told apart, for a row of not too many inputs."""
    for pieces, exact in ((bins, True), (min(bins, 16), True), (min(bins, 16), False), (min(bins, 4), False), (1, False)):
        num = sum(_num_of(own.learned(pieces, exact, rare) | {"type": own.type}) for own in learning)
        if num <= MOST_INPUTS:
            break
    said = [] if (pieces, exact) == (bins, True) else [
        f"numbers have at most {pieces} pieces each{'' if exact else ' and no exact values'}, so that a row has {num:,} inputs"
    ]  # fmt: skip
    return pieces, exact, said


class _Numbers:
    """Of a number."""

    type = "number"

    def __init__(self) -> None:
        self.sample: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
        self.sampled = self.missing = 0
        self.values: NDArray[np.float32] | None = np.empty(0, np.float32)
        self.counts = np.empty(0, np.int64)

    def add(self, values: NDArray[np.float32]) -> None:
        """More training rows (n,)."""
        there = values[~np.isnan(values)]
        self.missing += len(values) - len(there)
        taken = there[: SAMPLED - self.sampled]
        self.sample.append(taken)
        self.sampled += len(taken)
        if self.values is not None:
            more, counts = np.unique(there, return_counts=True)
            joined, place = np.unique(np.concatenate([self.values, more]), return_inverse=True)
            self.counts = np.bincount(place, np.concatenate([self.counts, counts]), len(joined)).astype(np.int64)
            self.values = joined if len(joined) <= EXACT else None

    def learned(self, bins: int, exact: bool, rare: int) -> dict[str, Any]:
        """Grid of quantiles, each once, and the frequent values."""
        if len(self.sample) > 1:
            self.sample = [np.sort(np.concatenate(self.sample))]
        whole = self.sample[0]
        often = self.values[self.counts >= rare] if exact and self.values is not None else np.empty(0, np.float32)
        return {
            "missing": self.missing,
            "mean": float(whole.mean(dtype=np.float64)) if len(whole) else 0.0,
            "std": float(whole.std(dtype=np.float64)) if len(whole) else 0.0,
            "grid": np.unique(_quantiles(whole, bins + 1)).astype(float).tolist(),
            "exact": often.astype(float).tolist(),
            "quantiles": _quantiles(whole, QUANTILES).astype(float).tolist(),
        }

    def notes(self, part: Stored, num: int, rare: int) -> list[str]:
        """A number that says nothing."""
        alike = self.values is not None and len(self.values) == 1 and not self.missing
        return [f"column {part.name!r} has the same value in every training row"] if alike else []


def _quantiles(whole: NDArray[np.float32], num: int) -> NDArray[np.float32]:
    """`num` evenly spaced ones of sorted values, each a value that occurs."""
    if not len(whole):
        return whole
    return whole[np.rint(np.linspace(0, len(whole) - 1, num)).astype(np.int64)]


class _Counts:
    """Of a category."""

    type = "category"

    def __init__(self, num_values: int) -> None:
        self.counts, self.missing = np.zeros(num_values, np.int64), 0

    def add(self, values: NDArray[np.float32]) -> None:
        """More training rows (n,)."""
        there = values[values >= 0].astype(np.int64)
        self.missing += int(np.isnan(values).sum())
        self.counts += np.bincount(there, minlength=len(self.counts))

    def learned(self, bins: int, exact: bool, rare: int) -> dict[str, Any]:
        """Counts by place, the frequent places, and whether there are rare ones."""
        kept = np.flatnonzero(self.counts >= rare)
        return {
            "missing": self.missing,
            "counts": self.counts.tolist(),
            "kept": kept.tolist(),
            "rest": bool(((self.counts > 0) & (self.counts < rare)).any()),
        }

    def notes(self, part: Stored, num: int, rare: int) -> list[str]:
        """Texts that training hardly or never sees."""
        few = int(((self.counts > 0) & (self.counts < rare)).sum())
        none = [value for value, count in zip(part.values, self.counts.tolist(), strict=True) if not count]
        said = [f"column {part.name!r}: {few} of {counted(len(self.counts), 'text')} occur less than {rare} times in training, "
                "taken as one"] if few else []  # fmt: skip
        if none and "(" not in part.name:
            other = "the rare ones" if few else "none of the others"
            never = so_many(len(none), "1 text never occurs", "{} texts never occur")
            said.append(f"column {part.name!r}: {never} in training, such as {none[0]!r}; taken as {other}")
        return said
