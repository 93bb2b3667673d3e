"""The shape of a network: its parameters, their sizes and first values, its cost. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOATS_PER_LINE = 16
"""float32 values in a cache line of 64 bytes."""
SOFTMAX, SIGMOID = "softmax", "sigmoid"
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

    @classmethod
    def of(cls, model: Mapping[str, Any], input_shape: Sequence[int], num_outputs: int) -> NetworkSpec:
        """From the keys of a model's configuration."""
        return cls(
            input_shape=tuple(input_shape),
            num_outputs=num_outputs,
            channels=tuple(model["channels"]),
            widths=tuple(model["widths"]),
            activation=model["activation"],
            norm=model["norm"],
            init=model["init"],
        )


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


def named_parameters(flat: NDArray[np.float32], spec: NetworkSpec) -> dict[str, NDArray[np.float32]]:
    """One network's parameters by name, such as dense1.weight (in, out), out of its row (columns,) of the flat matrix."""
    found, first = {}, 0
    for slot in slots(spec):
        found[slot.name] = flat[first : first + slot.size].reshape(slot.shape).copy()
        first += slot.room
    return found


def forward_flops(spec: NetworkSpec) -> int:
    """Floating-point operations of one sample's way through the products and convolutions."""
    pixels, total = math.prod(spec.input_shape[1:]), 0
    for slot in slots(spec):
        if slot.name.endswith(".weight"):
            is_conv = slot.layer.startswith("conv")
            total += 2 * slot.size * (pixels if is_conv else 1)
            pixels = pixels // 4 if is_conv else pixels
    return total


def chosen_loss(loss: str, task: str, num_classes: int) -> str:
    """auto: sigmoid for two classes (as one logit) and for several labels at once, softmax for one of many."""
    if loss != "auto":
        return loss
    return SIGMOID if task == "multi" or num_classes == 2 else SOFTMAX


def num_outputs(loss: str, task: str, num_classes: int) -> int:
    """Logits of a network: one for two exclusive classes under the sigmoid loss, else one per class."""
    return 1 if loss == SIGMOID and task == "single" else num_classes
