"""What simple methods see of a kind's samples: baselines that a network is measured against when it is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

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
    features: Callable[[NDArray[Any]], NDArray[np.float32]]
    """Rows (n, *shape) as stored to numbers (n, F), each row's own; NaN for boosting alone."""
    categories: tuple[int, ...] = ()
    """Columns of the features that are numbers of categories, from 0 to 253; below 0 or NaN: missing. For boosting alone."""


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
