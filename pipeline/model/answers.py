"""What networks answer on samples, each of which may own several rows."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.kinds.inputs import Cast
from pipeline.kinds.ragged import Ragged, Rows, part
from pipeline.kinds.views import Mirror
from pipeline.model.balance import Balance
from pipeline.model.losses import joined, mean_answer
from pipeline.model.net import Net
from pipeline.model.stacked.layers import by_network

MOST_ROWS = 1024
"""Of samples that own several, so many go through a network at once."""


@torch.no_grad()
def sample_logits(
    net: Net,
    to_input: Cast,
    rows: Rows,
    num_rows: NDArray[np.int64] | None,
    loss: str,
    lanes: int = 1,
    balance: Balance | None = None,
    mirror: Mirror | None = None,
) -> Tensor:
    """Logits (lanes, B, outputs) of B samples from their rows as stored: one each or, one sample after the other, so many.

    A sample with several rows has the logits of its mean answer (`joined`); those of a balanced training are of the data as
    they are. mirror: a row's answer is the mean of those to it and to its mirror image.
    """

    def answer(inputs: Rows) -> Tensor:
        found = net.forward(_for_each(inputs, lanes))
        return balance.shifted(found) if balance else found

    def logits(of: Rows) -> Tensor:
        inputs = to_input(of)
        if mirror is None:
            return answer(inputs)
        assert isinstance(inputs, Tensor), "ragged rows have no mirror image"
        return by_network(lambda *each: mean_answer(loss, each), answer(inputs), answer(mirror(inputs)))

    if num_rows is None:
        return logits(rows)
    ends = range(0, len(rows), MOST_ROWS)
    parts = [logits(part(rows, at, min(at + MOST_ROWS, len(rows)))) for at in ends]
    return joined(loss, torch.cat(parts, dim=1), num_rows.tolist())


def _for_each(inputs: Rows, lanes: int) -> Rows:
    """The same inputs for each of the networks."""
    return inputs if isinstance(inputs, Ragged) else inputs.expand(lanes, *inputs.shape)
