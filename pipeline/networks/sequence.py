"""What networks for sequences of tokens share: what of a batch is no row's own, and what is seen of a whole row."""

from __future__ import annotations

import torch
from torch import Tensor


def inside(x: Tensor, lengths: Tensor) -> Tensor:
    """(B, longest, 1), whether a place is of its row: False where the row is filled up."""
    return (torch.arange(x.shape[1], device=x.device) < lengths[:, None])[..., None]


def pooled(x: Tensor, own: Tensor, lengths: Tensor) -> Tensor:
    """(B, longest, width) to (B, 2 width): mean and maximum over a row's own places."""
    mean = (x * own).sum(1) / lengths[:, None]
    return torch.cat([mean, x.masked_fill(~own, -torch.inf).amax(1)], 1)


def check_tokens(input_shape: object, name: str) -> None:
    """ValueError where inputs are no plain tokens."""
    if tuple(input_shape) != ():  # type: ignore[arg-type]
        raise ValueError(
            f"rows of items of shape {tuple(input_shape)}: {name} takes tokens in their order; say data.tokens=words, "  # type: ignore[arg-type]
            "characters or bytepairs, of texts"
        )
