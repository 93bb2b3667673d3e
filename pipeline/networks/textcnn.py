"""A convolutional network over the tokens of a text: windows of several widths, and what they find anywhere.

After Kim 2014, "Convolutional Neural Networks for Sentence Classification": here the embeddings are learned from nothing, and
the mean over a text stands beside the maximum.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.networks.sequence import check_tokens, inside, pooled


def textcnn(
    input_shape: Sequence[int],
    num_outputs: int,
    *,
    num_tokens: int,
    width: int = 128,
    channels: int = 128,
    windows: Sequence[int] = (1, 2, 3, 5),
    dropout: float = 0.5,
    token_dropout: float = 0.1,
) -> nn.Module:
    """Tokens embedded into `width` numbers, `channels` of each window, as long as `windows` says in tokens.

    dropout: share of units dropped in training; token_dropout: of the tokens of a row.
    """
    check_tokens(input_shape, "textcnn")
    return TextCnn(num_tokens, num_outputs, width, channels, windows, dropout, token_dropout)


class TextCnn(nn.Module):
    """Rows of tokens to logits: what lies beyond a row's end is as nothing."""

    def __init__(
        self,
        num_tokens: int,
        num_outputs: int,
        width: int,
        channels: int,
        windows: Sequence[int],
        dropout: float,
        token_dropout: float,
    ) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(num_tokens, width) * width**-0.5)
        self.windows = nn.ModuleList(nn.Conv1d(width, channels, size) for size in windows)
        self.output = nn.Linear(2 * channels * len(windows), num_outputs)
        self.sizes, self.dropout, self.token_dropout = tuple(windows), dropout, token_dropout

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x (B, longest) int64; lengths (B,)."""
        own = inside(x, lengths)
        kept = F.dropout(own.to(self.embedding.dtype), self.token_dropout, self.training)
        embedded = (F.embedding(x, self.embedding) * kept).mT
        found = []
        for size, window in zip(self.sizes, self.windows, strict=True):
            around = F.pad(embedded, ((size - 1) // 2, size // 2))
            found.append(pooled(F.gelu(window(around)).mT, own, lengths))
        logits: Tensor = self.output(F.dropout(torch.cat(found, 1), self.dropout, self.training))
        return logits
