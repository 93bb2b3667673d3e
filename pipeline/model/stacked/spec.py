"""A stacked network as it is planned: its layers, their parameters and first values, its cost. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError
from pipeline.kinds.inputs import Taken
from pipeline.model.net import Layout, Slot

if TYPE_CHECKING:
    import torch

    from pipeline.model.stacked.network import StackedNet

LECUN, XAVIER, HE = "lecun", "xavier", "he"
INIT_OF = {"selu": LECUN, "sigmoid": XAVIER, "tanh": XAVIER}
"""The initialisation that keeps an activation's variance (LeCun 1998, Glorot 2010, He 2015); he for all others."""


@dataclass(frozen=True)
class StackedSpec:
    """All that the parameters' names and sizes depend on."""

    input_shape: tuple[int, ...]
    num_outputs: int
    channels: tuple[int, ...]
    widths: tuple[int, ...]
    activation: str
    norm: str
    init: str

    @classmethod
    def of(cls, model: Mapping[str, Any], taken: Taken, num_outputs: int) -> StackedSpec:
        """From the keys of a model's configuration; ConfigError where inputs are none of one shape."""
        check_one_shape(model["arch"], taken)
        return cls(
            input_shape=taken.shape,
            num_outputs=num_outputs,
            channels=tuple(model["channels"]),
            widths=tuple(model["widths"]),
            activation=model["activation"],
            norm=model["norm"],
            init=model["init"],
        )

    @property
    def max_lanes(self) -> None:
        return None

    @property
    def num_inputs(self) -> int:
        return math.prod(self.input_shape)

    @property
    def num_masked(self) -> int:
        return sum(self.widths)

    def layout(self) -> Layout:
        return _layout(self)

    def forward_flops(self) -> int:
        return sum(part.flops for part in parts(self))

    def num_values(self) -> int:
        return math.prod(self.input_shape) + sum(part.num_values for part in parts(self))

    def build(self, num_lanes: int, device: torch.device | str = "cpu") -> StackedNet:
        from pipeline.model.stacked.network import StackedNet

        return StackedNet(self, num_lanes, device)

    def check(self, fewest_rows: int) -> None:
        """Any of it can."""

    def notes(self) -> list[str]:
        return []

    def __str__(self) -> str:
        return "-".join(map(str, (*self.channels, *self.widths, self.num_outputs))) + f" {self.activation}"


def check_one_shape(arch: str, taken: Taken) -> None:
    """ConfigError where rows are no numbers of one shape, which products over a stack of networks need."""
    wrong = "rows of different lengths" if taken.lengths else "rows of tokens" if taken.num_tokens else None
    if wrong:
        raise ConfigError(
            f"model.arch = {arch!r}: the data has {wrong}, and a {arch} takes numbers of one shape; say model=module with a "
            "network of your own, whose forward takes (x, lengths) where lengths differ (docs/models.md); "
            "`regatta run '~model'` takes a chosen model back"
        )


@dataclass(frozen=True)
class Parameter(Slot):
    """A slot with its first values."""

    std: float = 0.0
    """Of normal values; 0: the constant."""
    constant: float = 0.0


@dataclass(frozen=True)
class Part:
    """A layer as it is planned; what it computes is under its kind in `LAYERS` (layers.py)."""

    kind: str
    parameters: tuple[Parameter, ...] = ()
    flops: int = 0
    """Of one sample's way through its products."""
    num_values: int = 0
    """What its products make of one sample."""
    function: str = ""
    """An activation's."""
    mask: tuple[int, int] | None = None
    """Where dropout follows: the number of its mask, and how many units it has."""


@cache
def parts(spec: StackedSpec) -> tuple[Part, ...]:
    """The layers in order, input side first: blocks of convolution and pooling, then dense ones."""
    found: list[Part] = []
    channels, *sides = (*spec.input_shape, 1, 1)[:3]
    for i, width in enumerate(spec.channels, start=1):
        found += [_conv(spec, f"conv{i}", channels, width, math.prod(sides)), *_normed(spec, f"conv{i}", width)]
        found += [Part("activation", function=spec.activation), Part("pool")]
        channels, sides = width, [max(1, side // 2) for side in sides]
    features = channels * math.prod(sides) if spec.channels else math.prod(spec.input_shape)
    found.append(Part("flatten"))
    for i, width in enumerate(spec.widths, start=1):
        found += [_dense(spec, f"dense{i}", features, width), *_normed(spec, f"dense{i}", width)]
        found.append(Part("activation", function=spec.activation, mask=(i - 1, width)))
        features = width
    return (*found, _dense(spec, "output", features, spec.num_outputs, hidden=False))


@cache
def _layout(spec: StackedSpec) -> Layout:
    return Layout(tuple(slot for part in parts(spec) for slot in part.parameters))


def _conv(spec: StackedSpec, name: str, channels: int, width: int, places: int) -> Part:
    std = _std(spec, 9 * channels, 9 * width)
    weight = Parameter(f"{name}.weight", (width, channels, 3, 3), name, std=std)
    return Part("conv", (weight, Parameter(f"{name}.bias", (width,), name)), 2 * weight.size * places, width * places)


def _dense(spec: StackedSpec, name: str, features: int, width: int, *, hidden: bool = True) -> Part:
    """Of one column two: a product with one takes another path alone than in a stack."""
    std, spare = _std(spec, features, width, hidden=hidden), int(width == 1)
    weight = Parameter(f"{name}.weight", (features, width), name, spare=spare, std=std)
    bias = Parameter(f"{name}.bias", (1, width), name, spare=spare, vector=True)
    return Part("dense", (weight, bias), 2 * weight.size, width)


def _normed(spec: StackedSpec, name: str, width: int) -> list[Part]:
    if spec.norm != "layer":
        return []
    gain = Parameter(f"{name}.gain", (width,), name, constant=1.0)
    return [Part("norm", (gain, Parameter(f"{name}.shift", (width,), name)))]


def _std(spec: StackedSpec, fan_in: int, fan_out: int, *, hidden: bool = True) -> float:
    scheme = INIT_OF.get(spec.activation, HE) if spec.init == "auto" else spec.init
    variances = {HE: 2 / fan_in, LECUN: 1 / fan_in, XAVIER: 2 / (fan_in + fan_out)}
    return math.sqrt(variances[scheme if hidden else LECUN])
