"""An `extensions.py` for tests: modules that can be trained exactly, and those that can't."""

import random
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn


class Cnn(nn.Module):
    """BatchNorm, dropout, a parameter of its own and two stages as children."""

    def __init__(self, shape, num_outputs, *, width=4, drop=0.2, norm=True):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width, 1, 1))
        self.stem = nn.Sequential(
            nn.Conv2d(shape[0], width, 3, padding=1, bias=False), nn.BatchNorm2d(width) if norm else nn.Identity()
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(drop), nn.Linear(width * shape[1] * shape[2], num_outputs))

    def forward(self, x):
        return self.head(torch.relu(self.stem(x)) * self.scale)


class Patches(nn.Module):
    """A small transformer over patches."""

    def __init__(self, shape, num_outputs, *, patch=2, dim=16):
        super().__init__()
        self.cut = nn.Conv2d(shape[0], dim, patch, patch)
        self.encoder = nn.TransformerEncoderLayer(dim, 4, 2 * dim, dropout=0.1, batch_first=True)
        self.head = nn.Linear(dim, num_outputs)

    def forward(self, x):
        return self.head(self.encoder(self.cut(x).flatten(2).mT).mean(1))


class Dense(nn.Module):
    def __init__(self, shape, num_outputs, *, width=16):
        super().__init__()
        self.first = nn.Linear(shape[0] * shape[1] * shape[2], width)
        self.last = nn.Linear(width, num_outputs)

    def hidden(self, x):
        return torch.relu(self.first(x.flatten(1)))

    def forward(self, x):
        return self.last(self.hidden(x))


class Frozen(Dense):
    def __init__(self, shape, num_outputs, **keys):
        super().__init__(shape, num_outputs, **keys)
        self.first.requires_grad_(False)


class Tied(Dense):
    """Two layers of one weight."""

    def __init__(self, shape, num_outputs):
        super().__init__(shape, num_outputs, width=8)
        self.middle, self.again = nn.Linear(8, 8), nn.Linear(8, 8)
        self.again.weight = self.middle.weight

    def hidden(self, x):
        return torch.relu(self.again(torch.relu(self.middle(super().hidden(x)))))


class Unused(Dense):
    def __init__(self, shape, num_outputs):
        super().__init__(shape, num_outputs)
        self.spare = nn.Linear(3, 3)


class Pair(Dense):
    def forward(self, x):
        hidden = self.hidden(x)
        return self.last(hidden), hidden


class Named(Dense):
    def forward(self, x):
        return SimpleNamespace(logits=self.last(self.hidden(x)))


class Averaged(Dense):
    """A floating buffer that is replaced instead of written, and one of whole numbers that stays."""

    def __init__(self, shape, num_outputs):
        super().__init__(shape, num_outputs)
        self.register_buffer("mean", torch.zeros(16))
        self.register_buffer("order", torch.arange(16))

    def forward(self, x):
        hidden = self.hidden(x)[:, self.order]
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * hidden.detach().mean(0)
        return self.last(hidden - self.mean)


class Whole(nn.Module):
    """All of it within one child."""

    def __init__(self, shape, num_outputs):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, num_outputs))

    def forward(self, x):
        return self.net(x)


class Counting(Dense):
    def __init__(self, shape, num_outputs):
        super().__init__(shape, num_outputs)
        self.steps = 0

    def forward(self, x):
        self.steps += self.training
        return super().forward(x)


class CountingInBuffer(Dense):
    def __init__(self, shape, num_outputs):
        super().__init__(shape, num_outputs)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        if self.training:
            self.steps += 1
        return super().forward(x)


class Numpy(Dense):
    def forward(self, x):
        return super().forward(x) * (1 + np.random.rand())


class OwnDice(Dense):
    def forward(self, x):
        return super().forward(x) * (1 + random.random()) if self.training else super().forward(x)


class RandomStart(Dense):
    def __init__(self, shape, num_outputs):
        super().__init__(shape, num_outputs)
        nn.init.constant_(self.last.bias, random.random())


class Shuffled(Dense):
    def __init__(self, shape, num_outputs):
        super().__init__(shape, num_outputs)
        self.register_buffer("order", torch.randperm(16))

    def hidden(self, x):
        return super().hidden(x)[:, self.order]


class Double(Dense):
    def __init__(self, shape, num_outputs):
        super().__init__(shape, num_outputs)
        self.last.double()


class Wide(Dense):
    def __init__(self, shape, num_outputs):
        super().__init__(shape, num_outputs + 1)


class Stuck(Dense):
    def __init__(self, shape, num_outputs):
        super().__init__(shape, num_outputs)
        self.requires_grad_(False)


class Failing(Dense):
    def forward(self, x):
        return self.nowhere(x)


class Restless(Dense):
    """Dropout that forgets what evaluation is."""

    def forward(self, x):
        return self.last(nn.functional.dropout(self.hidden(x)))


class CumulativeNorm(Dense):
    def __init__(self, shape, num_outputs):
        super().__init__(shape, num_outputs)
        self.norm = nn.BatchNorm1d(16, momentum=None)

    def hidden(self, x):
        return self.norm(super().hidden(x))


def norm1d(shape, num_outputs):
    features = shape[0] * shape[1] * shape[2]
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 8), nn.BatchNorm1d(8), nn.Linear(8, num_outputs))


def lazy(shape, num_outputs):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_outputs))


def nothing(shape, num_outputs):
    return "no module"


def raising(shape, num_outputs):
    raise RuntimeError("out of ideas")


def needy(shape, num_outputs, *, width):
    return Dense(shape, num_outputs, width=width)


MODELS = {
    "cnn": Cnn, "patches": Patches, "dense": Dense, "frozen": Frozen, "tied": Tied, "unused": Unused, "pair": Pair,
    "named": Named, "averaged": Averaged, "counting": Counting, "counting_in_buffer": CountingInBuffer, "numpy": Numpy,
    "own_dice": OwnDice, "random_start": RandomStart, "shuffled": Shuffled, "double": Double, "wide": Wide, "stuck": Stuck,
    "failing": Failing, "restless": Restless, "cumulative_norm": CumulativeNorm, "norm1d": norm1d, "lazy": lazy,
    "nothing": nothing, "raising": raising, "needy": needy, "whole": Whole,
}  # fmt: skip
