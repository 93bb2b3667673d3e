"""What simple methods see of a row: its values; a linear one those of categories as the network's switches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kinds.baselines import Seen
from pipeline.kinds.kind import Fit
from pipeline.kinds.table.inputs import num_encoded, to_input

MOST_CATEGORIES = 254
"""Of a column, that boosted trees tell apart."""


def baselines(fit: Fit, shape: Sequence[int]) -> Sequence[Seen]:
    """Both see the columns that the network sees."""
    import torch

    categories = tuple(place for place, own in enumerate(fit["stored"]) if own["type"] == "category")

    numbers = [place for place, own in enumerate(fit["stored"]) if own["type"] == "number"]
    means = np.array([fit["stored"][place]["mean"] for place in numbers], np.float32)

    cast, first_switch = to_input(fit, shape, "cpu"), num_encoded(fit["stored"])

    def plain(rows: NDArray[Any]) -> NDArray[np.float32]:
        inputs = np.asarray(cast(torch.from_numpy(np.array(rows))))
        values = np.array(rows[:, numbers], np.float32)
        return np.concatenate([np.where(np.isnan(values), means, values), inputs[:, first_switch:]], axis=1)

    def values(rows: NDArray[Any]) -> NDArray[np.float32]:
        found = np.array(rows, np.float32)
        for place in categories:
            found[:, place] = _numbered(found[:, place], fit["stored"][place])
        return found

    return (
        Seen("linear", "the columns", "linear", plain),
        Seen("boosting", "the columns", "boosting", values, categories),
    )


def _numbered(codes: NDArray[np.float32], own: Mapping[str, Any]) -> NDArray[np.float32]:
    """Codes of texts as numbers from 0 on, the most frequent first; NaN for what is missing, unknown or rare."""
    frequent = sorted(own["kept"], key=lambda code: -own["counts"][code])[:MOST_CATEGORIES]
    numbers = np.full(len(own["counts"]) + 1, np.nan, np.float32)
    numbers[frequent] = np.arange(len(frequent))
    places = np.nan_to_num(codes, nan=-1).astype(np.int64)
    return numbers[np.where(places < 0, len(numbers) - 1, places)]
