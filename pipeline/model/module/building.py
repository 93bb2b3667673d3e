"""A module made of its spec: from its function, by a seed, and where each of its tensors lies."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from pipeline import extensions, keyed, networks
from pipeline.backbones.tuned import NAME, network
from pipeline.errors import ConfigError
from pipeline.kinds.ragged import Ragged, Rows
from pipeline.model.module.spec import ModuleSpec
from pipeline.model.net import BUFFER, FROZEN, TRAINED, Layout, Slot

KEY_FIRST = re.compile(r"\w+ = ")
"""How a refusal of a key begins."""
LAZY = (nn.parameter.UninitializedParameter, nn.parameter.UninitializedBuffer)


def built(spec: ModuleSpec, seed: int) -> nn.Module:
    """The module with the first values of a seed; ConfigError where the function raises or returns something else."""
    function = network if spec.name == NAME else networks.function(spec.name)
    with torch.random.fork_rng(), told(spec, "building it"):
        torch.manual_seed(keyed.init_seed(seed, "module"))
        module = _made(spec, function)
    if not isinstance(module, nn.Module):
        raise refused(spec, f"its function returns {type(module).__name__}, not a torch.nn.Module")
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if isinstance(tensor, LAZY):
            raise refused(spec, f"{name} has no size yet (a lazy layer); say its sizes")
    for part in module.modules():
        is_norm = isinstance(part, nn.modules.batchnorm._BatchNorm)
        if is_norm and part.momentum is not None:  # it counts its batches, and never reads how many
            part.register_buffer("num_batches_tracked", None)
    return module


def _made(spec: ModuleSpec, function: Callable[..., Any]) -> Any:
    """What a function makes; ConfigError in the words of a network that comes along, whose ValueErrors say what is allowed."""
    try:
        return function(spec.input_shape, spec.num_outputs, **keys_of(spec))
    except ValueError as error:
        if spec.name not in networks.NAMES:
            raise
        if KEY_FIRST.match(str(error)):
            raise ConfigError(f"model.keys.{error} ({spec.said})") from error
        raise refused(spec, str(error)) from error


def keys_of(spec: ModuleSpec) -> dict[str, Any]:
    """What a module's function is called with by name: the user's keys, and of tokens how many there are."""
    keys: dict[str, Any] = json.loads(spec.keys)
    known = spec.num_tokens is None or spec.name == NAME  # a published network knows its own
    return keys if known else {"num_tokens": spec.num_tokens, **keys}


def given(x: Rows) -> tuple[Tensor, ...]:
    """What a module's forward is called with: inputs (B, ...) of the one network, or (B, longest, ...) and lengths (B,)."""
    return x.padded() if isinstance(x, Ragged) else (x[0],)


def num_given(x: Rows) -> int:
    """How many rows these are."""
    return len(x) if isinstance(x, Ragged) else x.shape[1]


def noise(spec: ModuleSpec, lengths: Sequence[int], seed: int = 0) -> Rows:
    """Inputs made up for a module: as many rows as lengths, which only ragged ones have."""
    generator = torch.Generator().manual_seed(seed)
    shape = (sum(lengths), *spec.input_shape) if spec.lengths else (1, len(lengths), *spec.input_shape)
    if spec.weighted:
        weights = torch.rand(shape[0], 1, generator=generator)
        values = torch.cat([torch.randint(spec.num_tokens or 1, (shape[0], 1), generator=generator), weights], 1)
    elif spec.num_tokens is None:
        values = torch.randn(shape, generator=generator)
    else:
        values = torch.randint(spec.num_tokens, shape, generator=generator)
    return Ragged(values, torch.tensor(lengths)) if spec.lengths else values


def refused(spec: ModuleSpec, why: str) -> ConfigError:
    return ConfigError(f"{spec.said}: {why}")


def told(spec: ModuleSpec, what: str) -> AbstractContextManager[None]:
    """Whatever the user's code raises as a ConfigError that says where."""
    return extensions.told(f"{spec.said}: {what}")


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and floating buffers by name, those that are shared once."""
    buffers = {name: each for name, each in module.named_buffers() if each.is_floating_point()}
    return {**dict(module.named_parameters()), **buffers}


def layout_of(spec: ModuleSpec, module: nn.Module) -> Layout:
    """Trained parameters, then frozen ones, then buffers; a layer is a top-level child of the module."""
    parameters = dict(module.named_parameters())
    trained = [name for name, each in parameters.items() if each.requires_grad]
    frozen = [name for name, each in parameters.items() if not each.requires_grad]
    roles = {**dict.fromkeys(trained, TRAINED), **dict.fromkeys(frozen, FROZEN)}
    tensors = tensors_of(module)
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32:
            raise refused(spec, f"{name} is {_short(tensor)}; only float32 is trained")
    if not trained:
        raise refused(spec, "no parameter of it is trained (requires_grad)")
    depth = max(_depth(trained), 2 if spec.name == NAME else 1)  # a published network's parts, not all of it at once
    slots = [Slot(name, tuple(each.shape), _layer(name, depth), roles.get(name, BUFFER)) for name, each in tensors.items()]
    order = {TRAINED: 0, FROZEN: 1, BUFFER: 2}
    return Layout(tuple(sorted(slots, key=lambda slot: order[slot.role])))


def _layer(name: str, depth: int) -> str:
    """The first parts of a tensor's name, its own aside."""
    parts = name.split(".")
    return ".".join(parts[: max(1, min(depth, len(parts) - 1))])


def _depth(names: list[str]) -> int:
    """How many parts of a name are its layer's: one, or more where all of them begin alike."""
    depth = 1
    while len({tuple(name.split(".")[:depth]) for name in names}) == 1 and all(name.count(".") > depth for name in names):
        depth += 1
    return depth


def _short(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def logits_of(spec: ModuleSpec, out: Any, rows: int) -> Tensor:
    """The logits (rows, outputs) float32 in what a module returns."""
    found = returned_logits(spec, out)
    expected = (rows, spec.num_outputs)
    if tuple(found.shape) != expected:
        raise refused(spec, f"its forward returns {tuple(found.shape)} for {rows} samples; expected is {expected}")
    return found


def returned_logits(spec: ModuleSpec, out: Any) -> Tensor:
    """What a module returns as float32, of whatever shape: a tensor, the first of a tuple, or its `logits`."""
    found = out
    if hasattr(out, "logits"):
        found = out.logits
    elif isinstance(out, tuple | list) and out:
        found = out[0]
    if not isinstance(found, Tensor):
        raise refused(
            spec,
            f"its forward returns {type(out).__name__}; return the logits, a tuple with them first, or an object with `logits`",
        )
    return found if found.dtype == torch.float32 else found.float()
