"""A small transformer over the tokens of a text.

Places are sines of fixed frequencies, so that a text may be of any length; its answer is from the mean and the maximum over the
text, as small sets of texts have no token of their own to learn for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.networks.attention import Block
from pipeline.networks.sequence import check_tokens, inside, pooled


def transformer(
    input_shape: Sequence[int],
    num_outputs: int,
    *,
    num_tokens: int,
    width: int = 64,
    heads: int = 4,
    layers: int = 2,
    dropout: float = 0.2,
    token_dropout: float = 0.1,
) -> nn.Module:
    """`layers` blocks of `heads` heads on tokens embedded into `width` numbers.

    dropout: share of units dropped in training; token_dropout: of the tokens of a row.
    """
    check_tokens(input_shape, "transformer")
    if width % (2 * heads):
        raise ValueError(f"width = {width}: a multiple of twice the heads, {2 * heads}")
    return Transformer(num_tokens, num_outputs, width, heads, layers, dropout, token_dropout)


class Transformer(nn.Module):
    """Rows of tokens to logits: what lies beyond a row's end is heard by nobody."""

    def __init__(
        self, num_tokens: int, num_outputs: int, width: int, heads: int, layers: int, dropout: float, token_dropout: float
    ) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(num_tokens, width) * width**-0.5)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm, self.output = nn.LayerNorm(width), nn.Linear(2 * width, num_outputs)
        self.dropout, self.token_dropout = dropout, token_dropout

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x (B, longest) int64; lengths (B,)."""
        own, width = inside(x, lengths), self.embedding.shape[1]
        kept = F.dropout(own.to(self.embedding.dtype), self.token_dropout, self.training)
        seen = F.embedding(x, self.embedding) * kept * width**0.5 + places(x.shape[1], width, x.device)
        for block in self.blocks:
            seen = block(seen, own)
        logits: Tensor = self.output(F.dropout(pooled(self.norm(seen), own, lengths), self.dropout, self.training))
        return logits


def places(num: int, width: int, device: torch.device) -> Tensor:
    """(num, width): sines and cosines of wavelengths from 2 pi to 20,000 pi."""
    rates = torch.exp(torch.arange(0, width, 2, device=device) * (-torch.log(torch.tensor(10_000.0, device=device)) / width))
    angles = torch.arange(num, device=device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)
