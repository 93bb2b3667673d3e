"""The networks: dense, or convolutional with a dense top. K of them side by side in one flat parameter matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from pipeline import keyed
from pipeline.model.layers import FLOATS_PER_LINE, Activation, Conv, Dense, Flatten, Layer, MaxPool, Norm

LECUN, XAVIER, HE = "lecun", "xavier", "he"
INIT_OF = {"selu": LECUN, "sigmoid": XAVIER, "tanh": XAVIER}
"""The initialisation that keeps an activation's variance (LeCun 1998, Glorot 2010, He 2015); he for all others."""


@dataclass(frozen=True)
class NetworkSpec:
    """The shape of a network: all that its parameters' names and sizes depend on."""

    input_shape: tuple[int, ...]
    num_outputs: int
    channels: tuple[int, ...]
    widths: tuple[int, ...]
    activation: str
    norm: str
    init: str


@dataclass(frozen=True)
class Slot:
    """One parameter tensor of one network."""

    name: str
    shape: tuple[int, ...]
    std: float
    """Of the initial normal values; 0: zeros."""
    constant: float = 0.0

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def room(self) -> int:
        """Columns in the flat matrix: whole cache lines, since products of misaligned matrices differ in the last bit."""
        return -(-self.size // FLOATS_PER_LINE) * FLOATS_PER_LINE

    @property
    def layer(self) -> str:
        """The layer's name, such as dense1."""
        return self.name.split(".")[0]


def slots(spec: NetworkSpec) -> list[Slot]:
    """The parameters of one network in order, input side first."""
    found: list[Slot] = []
    features, (channels, *sides) = math.prod(spec.input_shape), (*spec.input_shape, 1, 1)[:3]
    for i, width in enumerate(spec.channels, start=1):
        found += _layer(f"conv{i}", (width, channels, 3, 3), (width,), 9 * channels, 9 * width, spec, hidden=True)
        channels, sides = width, [max(1, side // 2) for side in sides]
        features = channels * math.prod(sides)
    for i, width in enumerate(spec.widths, start=1):
        found += _layer(f"dense{i}", (features, width), (1, width), features, width, spec, hidden=True)
        features = width
    return found + _layer(
        "output", (features, spec.num_outputs), (1, spec.num_outputs), features, spec.num_outputs, spec, hidden=False
    )


def _layer(
    name: str, weight: tuple[int, ...], bias: tuple[int, ...], fan_in: int, fan_out: int, spec: NetworkSpec, *, hidden: bool
) -> list[Slot]:
    scheme = (INIT_OF.get(spec.activation, HE) if spec.init == "auto" else spec.init) if hidden else LECUN
    variance = {HE: 2 / fan_in, LECUN: 1 / fan_in, XAVIER: 2 / (fan_in + fan_out)}[scheme]
    layer = [Slot(f"{name}.weight", weight, math.sqrt(variance)), Slot(f"{name}.bias", bias, 0.0)]
    if hidden and spec.norm == "layer":
        layer += [Slot(f"{name}.gain", (bias[-1],), 0.0, 1.0), Slot(f"{name}.shift", (bias[-1],), 0.0)]
    return layer


def forward_flops(spec: NetworkSpec) -> int:
    """Floating-point operations of one sample's way through the products and convolutions."""
    pixels, total = math.prod(spec.input_shape[1:]), 0
    for slot in slots(spec):
        if slot.name.endswith(".weight"):
            is_conv = slot.layer.startswith("conv")
            total += 2 * slot.size * (pixels if is_conv else 1)
            pixels = pixels // 4 if is_conv else pixels
    return total


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


def _initial(slot: Slot, seed: int) -> Tensor:
    if not slot.std:
        return torch.full(slot.shape, slot.constant)
    generator = torch.Generator().manual_seed(keyed.init_seed(seed, slot.name))
    return torch.empty(slot.shape).normal_(0.0, slot.std, generator=generator)
