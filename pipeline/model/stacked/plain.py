"""A stacked network as torch's own layers, for what knows these alone: exporters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pipeline.model.stacked.spec import Part, StackedSpec, parts
from pipeline.networks.activations import ACTIVATIONS

EPSILON = 1e-5


@torch.no_grad()
def plain(spec: StackedSpec, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Inputs (B, *input_shape) to logits (B, outputs), with copies of one network's tensors by name."""
    layers, sides = [], [*spec.input_shape, 1, 1][1:3]
    for part in parts(spec):
        layers.append(_layer(part, [tensors[slot.name].clone() for slot in part.parameters], sides))
        if part.kind == "pool":
            sides = [max(1, side // 2) for side in sides]
    return nn.Sequential(*layers).eval()


def _layer(part: Part, tensors: list[Tensor], sides: list[int]) -> nn.Module:
    match part.kind:
        case "conv":
            return _filled(nn.Conv2d(tensors[0].shape[1], tensors[0].shape[0], 3, padding=1), *tensors)
        case "dense":
            weight, bias = tensors
            return _filled(nn.Linear(*weight.shape), weight.T, bias[0])
        case "norm":  # over all features of a sample, a gain and a shift for each channel
            return _filled(nn.GroupNorm(1, len(tensors[0]), eps=EPSILON), *tensors)
        case "activation":
            return ACTIVATIONS[part.function]()
        case "pool":
            return nn.MaxPool2d(tuple(min(2, side) for side in sides))
    return nn.Flatten(1)


def _filled(layer: nn.Module, weight: Tensor, bias: Tensor) -> nn.Module:
    layer.weight.copy_(weight)  # type: ignore[operator]
    layer.bias.copy_(bias)  # type: ignore[operator]
    return layer
