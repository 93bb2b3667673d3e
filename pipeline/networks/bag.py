"""A bag of weighted tokens through a small network, beside a linear path: for texts as n-grams.

As fastText (Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification") with weights of tf-idf instead of means, a
hidden layer, and beside it what logistic regression on the same n-grams would have.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def bag(
    input_shape: Sequence[int],
    num_outputs: int,
    *,
    num_tokens: int,
    width: int = 128,
    hidden: int = 256,
    dropout: float = 0.3,
    token_dropout: float = 0.5,
) -> nn.Module:
    """Tokens embedded and summed into `width` numbers, `hidden` units, and a linear path beside them.

    dropout: share of units dropped in training; token_dropout: of the tokens of a row.
    """
    if tuple(input_shape) != (2,):
        raise ValueError("plain tokens: bag takes each with its weight; say data.tokens=ngrams, or preset=text-cnn")
    return Bag(num_tokens, num_outputs, width, hidden, dropout, token_dropout)


class Bag(nn.Module):
    """Rows of (token, weight) to logits: what lies beyond a row's end is left out."""

    def __init__(
        self, num_tokens: int, num_outputs: int, width: int, hidden: int, dropout: float, token_dropout: float
    ) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(num_tokens, width) * width**-0.5)
        self.linear = nn.Parameter(torch.zeros(num_tokens, num_outputs))
        self.norm, self.hidden = nn.LayerNorm(width), nn.Linear(width, hidden)
        self.output = nn.Linear(hidden, num_outputs)
        self.dropout, self.token_dropout = dropout, token_dropout

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x (B, longest, 2) float32: tokens and their weights; lengths (B,)."""
        inside = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        tokens, weights = x[inside].unbind(1)
        weights = F.dropout(weights, self.token_dropout, self.training)
        places, starts = tokens.to(torch.int64), lengths.cumsum(0) - lengths

        def summed(table: Tensor) -> Tensor:
            return F.embedding_bag(places, table, starts, mode="sum", per_sample_weights=weights)

        found = F.dropout(self.norm(summed(self.embedding)), self.dropout, self.training)
        found = F.dropout(F.gelu(self.hidden(found)), self.dropout, self.training)
        logits: Tensor = self.output(found) + summed(self.linear)
        return logits
