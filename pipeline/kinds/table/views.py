"""Augmented rows: numbers with noise, cells drawn anew as they occur in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.keyed import U64
from pipeline.kinds.kind import Fit
from pipeline.kinds.table.keys import TablePolicy

if TYPE_CHECKING:
    import torch

ENGINE = 1
"""Raised where a view of the same policy changes."""
_UNIFORMS = 4
"""Whose sum is nearly normal (Irwin-Hall); no transcendental function, so that a view is the same in any batch."""
_SPREAD = (12 / _UNIFORMS) ** 0.5
_DRAWS = _UNIFORMS + 2
"""Of a cell: for noise, for whether it is drawn anew, and for what."""


def check_policy(policy: TablePolicy, shape: Sequence[int]) -> None:
    """Every table can have every policy."""


def engine_versions() -> dict[str, Any]:
    """What can change a view besides the policy."""
    return {"engine": ENGINE, "contract": keyed.CONTRACT}


def advised(shape: Sequence[int], policy: TablePolicy) -> list[tuple[str, Mapping[str, Any]]]:
    """Cells drawn anew, then noise."""
    if not policy.redraw:
        return [("Draw some cells of the training rows anew", {"augment.redraw": 0.1})]
    return [] if policy.noise else [("Add noise to the numbers of the training rows", {"augment.noise": 0.1})]


def batch_views(stored: torch.Tensor, ids: U64, numbers: NDArray[np.int64], policy: TablePolicy, fit: Fit) -> torch.Tensor:
    """View `numbers[i]` of rows (B, columns) float32 with sample ids `ids[i]`: float32 (B, columns), where they are."""
    import torch

    num = stored.shape[1]
    drawn = keyed.view_draws(policy.seed, ids, numbers, num * _DRAWS + 1)
    cells, strength = drawn[:, :-1].reshape(len(ids), num, _DRAWS), drawn[:, -1:]
    spread = np.array([own.get("std", 0.0) for own in fit["stored"]])
    noise = (cells[:, :, :_UNIFORMS].sum(2) - _UNIFORMS / 2) * _SPREAD * spread * policy.noise * strength
    views = stored + torch.from_numpy(noise.astype(np.float32)).to(stored.device)
    anew = torch.from_numpy(cells[:, :, -2] < policy.redraw).to(stored.device)
    return torch.where(anew, torch.from_numpy(_redrawn(cells[:, :, -1], fit)).to(stored.device), views)


def _redrawn(uniform: NDArray[np.float64], fit: Fit) -> NDArray[np.float32]:
    """Cells (B, columns) as they occur in training, each column by itself."""
    columns = [_of_number(u, own) if own["type"] == "number" else _of_category(u, own)
               for u, own in zip(uniform.T, fit["stored"], strict=True)]  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float32)


def _of_number(uniform: NDArray[np.float64], own: Mapping[str, Any]) -> NDArray[np.float64]:
    quantiles = np.array(own["quantiles"] or [np.nan])
    return quantiles[(uniform * len(quantiles)).astype(np.int64)]


def _of_category(uniform: NDArray[np.float64], own: Mapping[str, Any]) -> NDArray[np.float64]:
    """A place among the column's texts, NaN for a missing one."""
    ends = np.cumsum([*own["counts"], own["missing"]])
    place = np.searchsorted(ends, uniform * ends[-1], side="right") if ends[-1] else np.full(len(uniform), len(ends) - 1)
    return np.where(place == len(ends) - 1, np.nan, place)
