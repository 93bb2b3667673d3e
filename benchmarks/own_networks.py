"""An `extensions.py` for measurements: what a user would write, with BatchNorm, attention, dropout and shortcuts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, 2, dropout=0.1, batch_first=True)
        self.norm, self.drop = nn.LayerNorm(dim), nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        return x + self.drop(self.attention(y, y, y, need_weights=False)[0])  # type: ignore[no-any-return]


class Mixed(nn.Module):
    """Convolutions with BatchNorm, then attention over places."""

    def __init__(self, shape: tuple[int, ...], num_outputs: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(shape[0], 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32)
        )
        self.attention = Attention(32)
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * (shape[1] // 2) * (shape[2] // 2), num_outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x)).flatten(2).mT
        return self.head(self.attention(x))  # type: ignore[no-any-return]


class Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(after) for _ in range(2))
        alike = before == after and stride == 1
        self.shortcut = nn.Identity() if alike else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norms[0](self.first(x)))
        return torch.relu(self.norms[1](self.second(y)) + self.shortcut(x))


def residual(shape: tuple[int, ...], num_outputs: int, *, width: int = 40) -> nn.Module:
    """Half a million parameters."""
    return nn.Sequential(
        nn.Conv2d(shape[0], width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        Block(width, width, 1), Block(width, 2 * width, 2), Block(2 * width, 4 * width, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, num_outputs),
    )  # fmt: skip


MODELS: dict[str, Callable[..., nn.Module]] = {"own_mixed": Mixed, "own_residual": residual}
"""None by a name of those that come along (`pipeline.networks`), which would be taken in its place."""
