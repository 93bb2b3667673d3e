"""The networks: dense, or convolutional with a dense top. K of them side by side in one flat parameter matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from pipeline import keyed
from pipeline.model.layers import Activation, Conv, Dense, Flatten, Layer, MaxPool, Norm
from pipeline.model.spec import NetworkSpec, Slot, slots


class Network(nn.Module):
    """K networks of one spec. `flat` (K, columns) float32 holds all parameters, in whole cache lines; layers view it."""

    flat: Tensor

    def __init__(self, spec: NetworkSpec, num_networks: int, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.spec, self.slots = spec, slots(spec)
        self.register_buffer("flat", torch.zeros(num_networks, sum(slot.room for slot in self.slots), device=device))
        self.layers = self._chain(dict(zip((slot.name for slot in self.slots), self.views(self.flat), strict=True)))
        self.first = next(i for i, (_, own_slots) in enumerate(self.layers) if own_slots)
        """The first layer with parameters: nothing before it needs a gradient."""

    def _chain(self, parts: dict[str, Tensor]) -> list[tuple[Layer, list[int]]]:
        """Each layer with the slots of its parameters, input side first."""
        place = {slot.name: i for i, slot in enumerate(self.slots)}

        def held(kind: type, *names: str) -> tuple[Layer, list[int]]:
            return kind(*(parts[name] for name in names)), [place[name] for name in names]

        chain: list[tuple[Layer, list[int]]] = []
        for name in self.layer_names:
            if name in ("dense1", "output") and not any(isinstance(layer, Flatten) for layer, _ in chain):
                chain.append((Flatten(), []))
            chain.append(held(Conv if name.startswith("conv") else Dense, f"{name}.weight", f"{name}.bias"))
            if name == "output":
                break
            if self.spec.norm == "layer":
                chain.append(held(Norm, f"{name}.gain", f"{name}.shift"))
            mask = int(name.removeprefix("dense")) - 1 if name.startswith("dense") else None
            chain.append((Activation(self.spec.activation, mask), []))
            if name.startswith("conv"):
                chain.append((MaxPool(), []))
        return chain

    @property
    def layer_names(self) -> list[str]:
        """Layers from input to output."""
        convs, denses = range(1, len(self.spec.channels) + 1), range(1, len(self.spec.widths) + 1)
        return [*(f"conv{i}" for i in convs), *(f"dense{i}" for i in denses), "output"]

    @property
    def num_parameters(self) -> int:
        """Of one network, padding aside."""
        return sum(slot.size for slot in self.slots)

    def views(self, flat: Tensor) -> list[Tensor]:
        """Each parameter's part (K, *shape) of a matrix (K, columns or more) laid out as `flat`."""
        rooms = [slot.room for slot in self.slots]
        parts = torch.split(flat[:, : sum(rooms)], rooms, dim=1)
        return [part[:, : slot.size].view(len(flat), *slot.shape) for part, slot in zip(parts, self.slots, strict=True)]

    def layer_ranges(self) -> list[tuple[int, int]]:
        """Columns [first, last) of each layer in `flat`, in the order of `layer_names`."""
        ends = np.cumsum([0] + [sum(slot.room for slot in self.slots if slot.layer == name) for name in self.layer_names])
        return [(a, b) for a, b in pairwise(ends.tolist())]

    def initialise(self, seeds: Sequence[int]) -> None:
        """Fill network k with the initial weights of seed k: a layer's depend on the seed and its name alone."""
        for slot, part in zip(self.slots, self.views(self.flat), strict=True):
            for seed, own in zip(seeds, part, strict=True):
                own.copy_(_initial(slot, seed))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Inputs (K, B, *input_shape) float32 to logits (K, B, num_outputs), without dropout."""
        for layer, _ in self.layers:
            x, _saved = layer.forward(x, ())
        return x

    @torch.no_grad()
    def gradient(
        self, x: Tensor, masks: Sequence[Tensor], loss_gradient: Callable[[Tensor], Tensor], places: Sequence[Tensor]
    ) -> Tensor:
        """Write the gradients of all parameters to `places` (see `views`); return the logits (K, B, num_outputs).

        masks (K, B, units): one for each hidden dense layer, or none; loss_gradient: logits to their gradient, same shape.
        """
        saved = []
        for layer, _ in self.layers:
            x, own = layer.forward(x, masks)
            saved.append(own)
        grad = loss_gradient(x)
        for i in range(len(self.layers) - 1, self.first - 1, -1):
            layer, own_slots = self.layers[i]
            grad = layer.backward(grad, saved[i], [places[slot] for slot in own_slots], first=i == self.first)
        return x


def normalisation(
    mean: Sequence[float], std: Sequence[float], input_shape: Sequence[int], device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """What is subtracted from inputs as stored (0..255) and what they are then multiplied by: (channels, 1, ...)."""
    channels = (-1, *[1] * (len(input_shape) - 1))
    scale = 1 / (255 * torch.tensor([s or 1.0 for s in std], device=device).view(channels))
    return 255 * torch.tensor(mean, device=device).view(channels), scale


def _initial(slot: Slot, seed: int) -> Tensor:
    if not slot.std:
        return torch.full(slot.shape, slot.constant)
    generator = torch.Generator().manual_seed(keyed.init_seed(seed, slot.name))
    return torch.empty(slot.shape).normal_(0.0, slot.std, generator=generator)
