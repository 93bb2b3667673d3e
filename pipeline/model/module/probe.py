"""Before anything is trained: a step of a module on noise, tried twice, so that what can't be exact is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import ConfigError
from pipeline.kinds.ragged import Ragged
from pipeline.model.draw import Draws
from pipeline.model.module.building import built, given, noise, refused, told
from pipeline.model.module.measured import shapes
from pipeline.model.module.network import ModuleNet
from pipeline.model.module.spec import ModuleSpec

ROWS = 4
PLAIN = (bool, int, float, str, type(None))
SAME = 1e-4
"""What sums in another order change."""
OWN = {"training", "num_batches_tracked"}
"""Attributes of torch's that change for good reason."""


@cache
def check(spec: ModuleSpec, fewest_rows: int) -> None:
    """ConfigError where this module's training can't be resumed, repeated or shared bit for bit.

    fewest_rows: of the smallest shard that training has.
    """
    _check_construction(spec)
    net = ModuleNet(spec, 1)
    net.initialise([0])
    before, kept = net.flat.clone(), _state(net.module)
    first = _step(net, ROWS)
    _check_state(spec, kept, _state(net.module))
    if not torch.equal(net.flat, before):
        raise refused(spec, "its forward changes its own parameters; leave that to the optimizer")
    again = _step(net, ROWS)
    if not all(torch.equal(one, other) for one, other in zip(first, again, strict=True)):
        raise refused(
            spec,
            "one step tried twice from one seed gives other numbers: it draws from numpy's, Python's or a generator of "
            "its own, or keeps something between two steps; draw from torch's generator, which is seeded for each step",
        )
    _check_evaluation(spec, net)
    if fewest_rows == 1:
        _check_one_row(spec, net)


def _check_construction(spec: ModuleSpec) -> None:
    one, same, other = built(spec, 0), built(spec, 0), built(spec, 1)
    for name, value in one.state_dict().items():
        if not torch.equal(value, same.state_dict()[name]):
            raise refused(
                spec,
                f"{name} differs between two modules made from one seed; draw first values from torch's generator alone",
            )
    values = dict(_constants(other))
    for name, value in _constants(one):
        if not torch.equal(value, values[name]):
            raise refused(
                spec,
                f"{name} is drawn anew by each seed, but is neither a parameter nor a floating buffer, so it is not kept "
                "with the weights; make it one of them",
            )


def _constants(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Tensors that are not kept with the weights: buffers of whole numbers, and plain attributes."""
    for name, buffer in module.named_buffers():
        if not buffer.is_floating_point():
            yield name, buffer
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if isinstance(value, Tensor):
                yield f"{path}.{name}".lstrip("."), value


def _state(module: nn.Module) -> dict[str, Any]:
    """All that a module could keep between two steps, floating buffers aside: those are part of the weights."""
    plain = {
        f"{path}.{name}".lstrip("."): value
        for path, part in module.named_modules()
        for name, value in vars(part).items()
        if isinstance(value, PLAIN) and name not in OWN
    }
    return {**plain, **{name: value.clone() for name, value in _constants(module)}}


def _check_state(spec: ModuleSpec, before: dict[str, Any], after: dict[str, Any]) -> None:
    for name, value in after.items():
        old = before.get(name)
        same = torch.equal(value, old) if isinstance(value, Tensor) and isinstance(old, Tensor) else value == old
        if same:
            continue
        if name.endswith("num_batches_tracked"):
            raise refused(spec, f"{name} is counted (momentum=None), and only floating buffers are kept; give it a momentum")
        raise refused(
            spec, f"{name} changes in a step, but is not kept with the weights; make it a floating buffer (register_buffer)"
        )


def _lengths(spec: ModuleSpec, rows: int) -> list[int]:
    """So many, of ragged inputs the largest and the least in turn."""
    if spec.lengths is None:
        return [1] * rows
    return [spec.lengths[-1 if i % 2 == 0 else 0] for i in range(rows)]


def _step(net: ModuleNet, rows: int) -> tuple[Tensor, Tensor]:
    """Logits and gradient of a shard of noise."""
    draws = Draws([0], [0.0], rows, torch.device("cpu")).of_epoch(range(1))
    draw = draws.block(range(1), (0, rows)).shard(0, 0, 0, rows, rows)
    out, x = torch.zeros_like(net.flat), noise(net.spec, _lengths(net.spec, rows))
    with told(net.spec, f"a step with inputs {shapes(given(x))}"):
        logits = net.gradient(x, draw, lambda z: torch.sin(z) / rows, out)
    return logits, out


def _check_evaluation(spec: ModuleSpec, net: ModuleNet) -> None:
    before, x = net.flat.clone(), noise(spec, _lengths(spec, ROWS))
    with told(spec, "evaluating it"):
        one, other = net.forward(x), net.forward(x)
    if not torch.equal(one, other):
        raise refused(spec, "in evaluation (module.eval()) it gives other numbers for the same inputs")
    if not torch.equal(net.flat, before):
        raise refused(spec, "evaluation (module.eval()) changes its buffers; leave them as they are where not self.training")


def _check_one_row(spec: ModuleSpec, net: ModuleNet) -> None:
    try:
        _step(net, 1)
    except ConfigError as error:
        raise ConfigError(
            f"{error}; the last batch of an epoch leaves a shard of 1 sample: choose another train.batch_size, "
            "train.limit or fewer train.shards, or layers that take one sample (GroupNorm, LayerNorm)"
        ) from None


@cache
def padding_note(spec: ModuleSpec) -> list[str]:
    """A line where a short row has another answer alone than beside the longest one, to which it is then filled up."""
    net = ModuleNet(spec, 1)
    net.initialise([0])
    x = noise(spec, _lengths(spec, 2))
    assert isinstance(x, Ragged)
    beside, alone = net.forward(x)[0, 1], net.forward(x.part(1, 2))[0, 0]
    change = float((beside - alone).abs().max())
    if change <= SAME * max(1.0, float(alone.abs().max())):
        return []
    return [
        f"{spec.said}: the logits of a row of {int(x.lengths[1])} items change by "
        f"{change:.2g} when it is filled up to {int(x.lengths[0])}, so answers depend on which rows "
        "stand beside each other; have its forward leave out what lies beyond `lengths` (docs/models.md)"
    ]
