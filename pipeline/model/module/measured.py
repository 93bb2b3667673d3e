"""What is known of a module only by building it: its layout, and what one sample costs. Once in a process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from pipeline.model.module.building import built, given, layout_of, logits_of, noise, told
from pipeline.model.module.spec import ModuleSpec
from pipeline.model.net import Layout

ROWS = 2


@dataclass(frozen=True)
class Measured:
    layout: Layout
    forward_flops: int
    num_values: int


@cache
def measured(spec: ModuleSpec) -> Measured:
    """By one way of a few samples of noise through it, forwards: of the median length, and for memory of the largest."""
    module = built(spec, 0)
    usual, largest = (given(noise(spec, [length] * ROWS)) for length in (spec.lengths or (1, 1, 1))[1:])
    with torch.random.fork_rng(), told(spec, f"its forward of inputs {shapes(usual)}"):
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            logits_of(spec, module.eval()(*usual), ROWS)
        values = _values_kept(module, largest)
    return Measured(layout_of(spec, module), counter.get_total_flops() // ROWS, values // ROWS)


def shapes(inputs: tuple[Tensor, ...]) -> str:
    """In words."""
    return " and lengths ".join(str(tuple(each.shape)) for each in inputs)


def _values_kept(module: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """What a backward pass would need, parameters aside."""
    own, total = {each.data_ptr() for each in module.parameters()}, 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal total
        total += 0 if tensor.data_ptr() in own else tensor.numel()
        return tensor

    with torch.enable_grad(), saved_tensors_hooks(count, lambda tensor: tensor):
        module.eval()(*inputs)  # not in training: no statistic moves
    return total + inputs[0].numel()
