"""What simple methods see of a kind's samples: baselines that a network is measured against when it is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Protocol, cast

from pipeline.kinds.extended import extended
from pipeline.kinds.kind import BUILT_IN, Fit

Method = Literal["linear", "boosting"]
"""Logistic or ridge regression, or gradient-boosted trees, as what is predicted asks for."""


@dataclass(frozen=True)
class Seen:
    """What one baseline sees, and by which method it answers."""

    name: str
    words: str
    """Of what it sees, as in "logistic regression on pixels"."""
    method: Method
    features: Callable[[Any], Any]
    """Rows (n, *shape) as stored, or a list of ragged ones, to numbers (n, F) float32, each row's own; NaN for boosting alone.
    A linear method takes a sparse matrix of scipy's as well, as it is: its columns should be of one scale."""
    categories: tuple[int, ...] = ()
    """Columns of the features that are numbers of categories, from 0 to 253; below 0 or NaN: missing. For boosting alone."""
    ragged: bool = False
    """Whether it is of ragged rows."""
    windows: bool = False
    """Whether the mean of windows' features says something of the sample that owns them; else it is of single rows alone."""
    strength: float | None = None
    """Of a linear method, the inverse of its penalty (C of scikit-learn's logistic regression, 1 / alpha of ridge); None: one
    that suits standardised features."""


class Baselines(Protocol):
    """A kind's baselines; a kind of the user's own may have none."""

    def baselines(self, fit: Fit, shape: Sequence[int]) -> Sequence[Seen]:
        """One or more, of which the better one on validation is shown."""


def baselines_of(kind: str) -> Baselines | None:
    """The baselines of a kind; None where it has none."""
    if kind in BUILT_IN:
        return cast(Baselines, import_module(f"pipeline.kinds.{kind}.baselines"))
    own = extended(kind)
    return cast(Baselines, own) if hasattr(own, "baselines") else None
