"""Which columns of a network are stepped alike: weight decay for matrices alone, factors by the names of tensors."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby

from pipeline.errors import ConfigError
from pipeline.model.net import TRAINED, Layout, Slot
from pipeline.schema.base import nearest
from pipeline.wording import first_of


@dataclass(frozen=True)
class Factors:
    """What the learning rate and the weight decay of some tensors are multiplied by."""

    pattern: str
    """Of their names, such as dense1.* (see `model.json` of a trained network, or the error of a pattern without any)."""
    learning_rate: float
    weight_decay: float


@dataclass(frozen=True)
class Columns:
    """Columns [first, last) that are stepped alike."""

    first: int
    last: int
    rate: float
    decay: float
    """Factors of the learning rate and of the weight decay."""
    held: bool = False
    """Whether they are left as they are, for a while or to the end."""


def column_factors(layout: Layout, decayed: str, factors: Sequence[Factors], held: Collection[str] = ()) -> list[Columns]:
    """The trained columns, from the first to the last.

    decayed: "matrices", so that biases and the scales and shifts of norms, which have one axis, are left alone as is
    usual (Loshchilov and Hutter 2019 decay all; their followers, such as GPT-3, matrices), or "all". held: names of tensors.
    """
    columns: list[Columns] = []
    trained = [slot for slot in layout.slots if slot.role == TRAINED]
    for (own, held_back), slots in groupby(trained, lambda slot: (_factors(slot, decayed, factors), slot.name in held)):
        first = columns[-1].last if columns else 0
        columns.append(Columns(first, first + sum(slot.num_columns for slot in slots), *own, held_back))
    return columns


def _factors(slot: Slot, decayed: str, factors: Sequence[Factors]) -> tuple[float, float]:
    own = [factor for factor in factors if fnmatchcase(slot.name, factor.pattern)]
    decays = decayed == "all" or (len(slot.shape) > 1 and not slot.vector)
    return math.prod(one.learning_rate for one in own), decays * math.prod(one.weight_decay for one in own)


def check_factors(layout: Layout, factors: Sequence[Factors]) -> None:
    """ConfigError where a pattern is nobody's name."""
    names = [slot.name for slot in layout.slots if slot.role == TRAINED]
    for factor in factors:
        if not any(fnmatchcase(name, factor.pattern) for name in names):
            meant = nearest(factor.pattern, names)
            raise ConfigError(
                f"train.factors: {factor.pattern} fits no tensor of this network"
                f"{f' (did you mean {meant}?)' if meant else ''}; there are {first_of(names, 20)}"
            )
