"""An `extensions.py` for tests: pretrained networks of one's own, and some that can't be."""

import torch
from torch import nn


class Small(nn.Module):
    """Twelve features of an image as the data are, whatever its size."""

    def __init__(self, shape):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(shape[0], 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.blocks = nn.Sequential(nn.Conv2d(8, 12, 3, padding=1), nn.ReLU())

    def forward(self, x):
        return self.blocks(torch.relu(self.stem(x))).mean((2, 3))


def scaled(shape):
    """In a size and scale of its own, and in colours."""
    return Small(shape)


scaled.inputs = {"size": 16, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}


class Heard(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(shape[0], 6, 16, 8), nn.ReLU())

    def forward(self, x):
        return self.layers(x).mean(2)


class Loose(Small):
    def forward(self, x):
        return nn.functional.dropout(super().forward(x))


class Flat(Small):
    def forward(self, x):
        return super().forward(x)[:, 0]


def wrong(shape):
    return Small(shape)


wrong.inputs = {"size": 16, "crop": 3}


def nothing(shape):
    return "no module"


BACKBONES = {
    "small": Small, "scaled": scaled, "heard": Heard, "loose": Loose, "flat": Flat, "wrong": wrong, "nothing": nothing
}  # fmt: skip


def written(name, shape, file, seed=0):
    """Weights of one of these in a file, by a seed."""
    from safetensors.torch import save_file

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tensors = BACKBONES[name](shape).state_dict()
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: each.contiguous() for key, each in tensors.items()}, file)
    return file
