"""The weights of several networks in one file. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, NDArray[np.float32]]
"""Tensors by name."""


def joined_weights(members: Sequence[Weights]) -> Weights:
    """Of one network as they are; of several each name behind its network's number, as in members.0.output.bias."""
    if len(members) == 1:
        return members[0]
    return {f"{_before(k)}{name}": tensor for k, own in enumerate(members) for name, tensor in own.items()}


def weights_of_members(joined: Weights, num: int) -> list[Weights]:
    """Each network's own, out of a file of `num` networks."""
    if num == 1:
        return [joined]
    firsts = [_before(k) for k in range(num)]
    return [{name.removeprefix(first): joined[name] for name in joined if name.startswith(first)} for first in firsts]


def _before(k: int) -> str:
    return f"members.{k}."
