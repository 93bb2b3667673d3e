"""Rows of tables as networks take them: numbers piecewise linear, their frequent values and categories as switches.

A number x becomes one input for each piece [a, b] of a grid of its training quantiles, clip((x - a) / (b - a), 0, 1)
(Gorishniy et al. 2022, "On Embeddings for Numerical Features in Tabular Deep Learning"). The first dense layer of a
network is then its embedding, and that of a category. All operations are of one element each, so a row's inputs are the same
in any batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.kinds.inputs import Cast
from pipeline.kinds.kind import Fit
from pipeline.kinds.table.rows import UNKNOWN

if TYPE_CHECKING:
    import torch

_MISSING, _UNKNOWN, _FIRST = range(3)
"""Places in a category's list of inputs, before those of its texts."""


def input_shape(fit: Fit, shape: Sequence[int]) -> tuple[int, ...]:
    """All in one row."""
    return (int(fit["num_inputs"]),)


def meanings(fit: Fit) -> list[Any]:
    """Of each column what becomes of its values."""
    return list(fit["stored"])


class _Plan(NamedTuple):
    """Where everything goes: pieces of numbers, exact values, missing numbers, then categories."""

    pieces: list[tuple[int, float, float]]
    """Place in the row, begin, and 1 / length."""
    exact: list[tuple[int, float]]
    missing: list[int]
    categories: list[int]
    inputs: list[list[int]]
    """By category the input for a missing text, an unknown one, and each of its texts; -1: none."""


def _planned(stored: Sequence[dict[str, Any]]) -> _Plan:
    plan = _Plan([], [], [], [], [])
    for place, own in enumerate(stored):
        if own["type"] == "number":
            grid = np.array(own["grid"], np.float32)
            plan.pieces.extend((place, float(a), float(1 / (b - a))) for a, b in pairwise(grid))
            plan.exact.extend((place, value) for value in own["exact"])
            plan.missing.extend([place] if own["missing"] else [])
    at = len(plan.pieces) + len(plan.exact) + len(plan.missing)
    for place, own in enumerate(stored):
        if own["type"] == "category":
            plan.categories.append(place)
            plan.inputs.append(_inputs_of(own, at))
            at += len(own["kept"]) + bool(own["rest"]) + bool(own["missing"])
    return plan


def num_encoded(stored: Sequence[dict[str, Any]]) -> int:
    """Inputs that stand for numbers, which come first: pieces and exact values. Switches follow."""
    plan = _planned(stored)
    return len(plan.pieces) + len(plan.exact)


def _inputs_of(own: dict[str, Any], at: int) -> list[int]:
    """By missing, unknown and each text of a category the input that is 1, from `at` on."""
    kept = {code: at + i for i, code in enumerate(own["kept"])}
    rest = at + len(kept) if own["rest"] else -1
    missing = at + len(kept) + bool(own["rest"]) if own["missing"] else -1
    return [missing, rest, *(kept.get(code, rest) for code in range(len(own["counts"])))]


def to_input(fit: Fit, shape: Sequence[int], device: torch.device | str) -> Cast:
    """float32 (B, columns) as stored to float32 (B, inputs)."""
    import torch

    plan, width = _planned(fit["stored"]), int(fit["num_inputs"])
    of_piece = torch.tensor([place for place, _, _ in plan.pieces], dtype=torch.int64, device=device)
    begin = torch.tensor([a for _, a, _ in plan.pieces], device=device)
    scale = torch.tensor([factor for _, _, factor in plan.pieces], device=device)
    of_exact = torch.tensor([place for place, _ in plan.exact], dtype=torch.int64, device=device)
    exact = torch.tensor([value for _, value in plan.exact], device=device)
    missing = torch.tensor(plan.missing, dtype=torch.int64, device=device)
    categories = torch.tensor(plan.categories, dtype=torch.int64, device=device)
    starts = np.cumsum([0, *map(len, plan.inputs)])[:-1]
    first = torch.tensor(starts, dtype=torch.int64, device=device)
    inputs = torch.tensor([width if i < 0 else i for own in plan.inputs for i in own], dtype=torch.int64, device=device)
    ends = np.cumsum([0, len(plan.pieces), len(plan.exact), len(plan.missing)]).tolist()

    def cast(rows: torch.Tensor) -> torch.Tensor:
        rows = rows.to(begin.device, torch.float32)
        # The last one takes what has no input. No len(), which would be taken for that of all batches where it is exported.
        out = torch.zeros(rows.shape[0], width + 1, device=rows.device)
        out[:, : ends[1]] = ((rows[:, of_piece] - begin) * scale).clamp_(0, 1).nan_to_num_(0.0)
        out[:, ends[1] : ends[2]] = rows[:, of_exact] == exact
        out[:, ends[2] : ends[3]] = rows[:, missing].isnan()
        codes = rows[:, categories].add_(_FIRST).nan_to_num_(_MISSING).to(torch.int64)
        out.scatter_(1, inputs[first + codes], 1.0)
        return out[:, :width].contiguous()

    return cast


def made_up(fit: Fit, num: int) -> NDArray[Any]:
    """Of numbers some between the least and the most of training, of categories any, and of both none where that occurred."""
    drawn = np.random.default_rng(0)
    rows = np.empty((num, len(fit["stored"])), np.float32)
    for column, own in zip(rows.T, fit["stored"], strict=True):
        if own["type"] == "number":
            known = [*own["grid"], *own["exact"]] or [0.0]
            column[:] = drawn.uniform(min(known), max(known), num)
        else:
            column[:] = drawn.integers(int(UNKNOWN), len(own["counts"]), num)
        if own["missing"]:
            column[:: num // 4] = np.nan
    return rows


UNSEEN = "a category that training never saw, taken as another one"


def unseen(fit: Fit) -> Callable[[Any], int]:
    """Counts rows (B, columns) as stored with such a category."""
    categories = [place for place, own in enumerate(fit["stored"]) if own["type"] == "category"]
    return lambda rows: int((rows[:, categories] == UNKNOWN).any(1).sum())


def as_stored(samples: Any, fit: Fit) -> torch.Tensor:
    """Rows (B, columns) float32 of a table, a DataFrame, or dicts, which have the columns that were learned from.

    DataError where a column is lacking or a cell is not what its column is. Warns of categories that training never saw.
    """
    import torch

    from pipeline.kinds.table.given import rows_of

    return torch.from_numpy(rows_of(samples, fit))


def check_inputs(inputs: torch.Tensor, shape: tuple[int, ...]) -> None:
    """DataError where inputs are not rows (B, columns) float32 as stored."""
    import torch

    if inputs.dtype != torch.float32 or tuple(inputs.shape[1:]) != shape:
        raise DataError(
            f"inputs of dtype {str(inputs.dtype).removeprefix('torch.')} and shape {tuple(inputs.shape)}: expected are rows as "
            f"stored, float32 of shape (B, {shape[0]}); tables with the columns' names go through `Predictor.rows`"
        )
