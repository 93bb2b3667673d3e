"""What is known of a module only by building it: its layout, and what one sample costs. Once in a process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from pipeline.model.module.building import built, layout_of, logits_of, told
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
    """By one way of a few samples of noise through it, forwards."""
    module = built(spec, 0)
    x = torch.zeros(ROWS, *spec.input_shape)
    with torch.random.fork_rng(), told(spec, f"its forward of inputs {tuple(x.shape)}"):
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            logits_of(spec, module.eval()(x), ROWS)
        values = _values_kept(module, x)
    return Measured(layout_of(spec, module), counter.get_total_flops() // ROWS, values // ROWS)


def _values_kept(module: nn.Module, x: Tensor) -> int:
    """What a backward pass would need, parameters aside."""
    own, total = {each.data_ptr() for each in module.parameters()}, 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal total
        total += 0 if tensor.data_ptr() in own else tensor.numel()
        return tensor

    with torch.enable_grad(), saved_tensors_hooks(count, lambda tensor: tensor):
        module.eval()(x)  # not in training: no statistic moves
    return total + x.numel()
