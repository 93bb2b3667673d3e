"""What networks answer on samples, each of which may own several rows."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.kinds.inputs import Cast
from pipeline.kinds.ragged import Ragged, Rows, part
from pipeline.model.losses import joined
from pipeline.model.net import Net

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
) -> Tensor:
    """Logits (lanes, B, outputs) of B samples from their rows as stored: one each or, one sample after the other, so many.

    A sample with several rows has the logits of its mean answer (`joined`).
    """
    if num_rows is None:
        return net.forward(_for_each(to_input(rows), lanes))
    ends = range(0, len(rows), MOST_ROWS)
    parts = [net.forward(_for_each(to_input(part(rows, at, min(at + MOST_ROWS, len(rows)))), lanes)) for at in ends]
    return joined(loss, torch.cat(parts, dim=1), num_rows.tolist())


def _for_each(inputs: Rows, lanes: int) -> Rows:
    """The same inputs for each of the networks."""
    return inputs if isinstance(inputs, Ragged) else inputs.expand(lanes, *inputs.shape)
