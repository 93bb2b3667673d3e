"""The block of transformers: Vaswani et al. 2017, normalised before each part (Xiong et al. 2020)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """(B, n, width) to the same: attention among a row's own places, then two layers at each place."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asked, self.given = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.heads, self.dropout = heads, dropout

    def forward(self, x: Tensor, own: Tensor | None = None) -> Tensor:
        """own (B, n, 1): whether a place is of its row; None: all are."""
        query, key, value = self.asked(self.norm1(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mask = None if own is None else own.mT[:, None]
        heard = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x + F.dropout(self.given(heard.transpose(1, 2).flatten(2)), self.dropout, self.training)
        wide = F.gelu(self.wide(self.norm2(x)))
        return x + F.dropout(self.narrow(wide), self.dropout, self.training)
