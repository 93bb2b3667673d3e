"""Dense networks, or convolutional ones with a dense top: K of them side by side in one flat matrix."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipeline import keyed
from pipeline.kinds.ragged import Rows
from pipeline.model.draw import Draw
from pipeline.model.stacked.layers import LAYERS, Layer
from pipeline.model.stacked.plain import plain
from pipeline.model.stacked.spec import Parameter, StackedSpec, parts


@dataclass(frozen=True)
class Held:
    """A layer, and which of the network's slots are its own."""

    layer: Layer
    slots: slice


class StackedNet:
    """K networks of one spec: the layers view the columns of `flat`, in whole cache lines (see `Net`)."""

    def __init__(self, spec: StackedSpec, num_lanes: int, device: torch.device | str = "cpu") -> None:
        self.spec, self.layout = spec, spec.layout()
        self.flat = torch.zeros(num_lanes, self.layout.num_columns, device=device)
        self.parameters = [parameter for part in parts(spec) for parameter in part.parameters]
        self.layers = _held(spec, self.layout.views(self.flat))
        self.first = next(i for i, held in enumerate(self.layers) if held.slots.stop > held.slots.start)
        """The first layer with parameters: nothing before it needs a gradient."""
        self.last_out: tuple[Tensor, list[Tensor]] | None = None
        """Where the last gradient was written, and each slot's place there: mostly the same again."""

    def initialise(self, seeds: Sequence[int]) -> None:
        """A layer's values depend on the seed and its name alone."""
        for parameter, view in zip(self.parameters, self.layout.views(self.flat), strict=True):
            for seed, own in zip(seeds, view, strict=True):
                own[..., : parameter.shape[-1]].copy_(_first_values(parameter, seed))

    def hold(self, names: Collection[str]) -> None:
        """No layer has running statistics."""

    @torch.no_grad()
    def forward(self, x: Rows) -> Tensor:
        assert isinstance(x, Tensor), "of one shape, as the spec has seen to"
        for held in self.layers:
            x, _saved = held.layer.forward(x, None)
        return x

    def plain(self) -> nn.Module:
        named = self.layout.named(self.flat[0].numpy(force=True))
        return plain(self.spec, {name: torch.from_numpy(values) for name, values in named.items()})

    @torch.no_grad()
    def gradient(self, x: Rows, draw: Draw, loss: Callable[[Tensor], Tensor], out: Tensor) -> Tensor:
        assert isinstance(x, Tensor)
        saved: list[Any] = []
        for held in self.layers:
            x, own = held.layer.forward(x, draw)
            saved.append(own)
        grad, places = loss(x), self._places(out)
        for i in range(len(self.layers) - 1, self.first - 1, -1):
            held = self.layers[i]
            grad = held.layer.backward(grad, saved[i], places[held.slots], first=i == self.first)
        return x

    def _places(self, out: Tensor) -> list[Tensor]:
        if self.last_out is None or self.last_out[0] is not out:
            self.last_out = out, self.layout.views(out)
        return self.last_out[1]


def _held(spec: StackedSpec, views: Sequence[Tensor]) -> list[Held]:
    """The layers over their parameters' views, input side first."""
    found, first = [], 0
    for part in parts(spec):
        own = slice(first, first + len(part.parameters))
        found.append(Held(LAYERS[part.kind](part, views[own]), own))
        first = own.stop
    return found


def _first_values(parameter: Parameter, seed: int) -> Tensor:
    if not parameter.std:
        return torch.full(parameter.shape, parameter.constant)
    generator = torch.Generator().manual_seed(keyed.init_seed(seed, parameter.name))
    return torch.empty(parameter.shape).normal_(0.0, parameter.std, generator=generator)
