"""All that the rest of the house knows of a network: where its tensors lie, and what it can be asked for.

Imports no torch: what plans a run, or keeps its record, needs the layout alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from pipeline.kinds.ragged import Rows
    from pipeline.model.draw import Draw

FULL: Final = "32-true"
"""Lightning's name of the precision in which all is float32."""
FLOATS_PER_LINE = 16
"""float32 values in a cache line of 64 bytes."""
TRAINED, FROZEN, BUFFER = ROLES = ("trained", "frozen", "buffer")
"""Stepped by the optimizer; a parameter that stays; a running statistic, whose gradient is its change in a step."""


@dataclass(frozen=True)
class Slot:
    """One tensor of one network."""

    name: str
    shape: tuple[int, ...]
    layer: str
    """Under whose name the norm of its gradient is recorded."""
    role: str = TRAINED
    spare: int = 0
    """Columns of zeros beside its own, where products of so few columns differ from those of more."""
    vector: bool = False
    """Of one axis, though its shape has two: a bias as products take it."""

    @property
    def stored(self) -> tuple[int, ...]:
        """Its shape in the flat matrix."""
        return (*self.shape[:-1], self.shape[-1] + self.spare) if self.spare else self.shape

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def num_columns(self) -> int:
        """Columns in the flat matrix: whole cache lines, since products of misaligned matrices differ in the last bit."""
        return -(-math.prod(self.stored) // FLOATS_PER_LINE) * FLOATS_PER_LINE


@dataclass(frozen=True)
class Layout:
    """Where the tensors of one network lie in its row of the flat matrix."""

    slots: tuple[Slot, ...]
    """Trained ones first, then frozen ones, then buffers; those of one layer side by side."""

    @cached_property
    def rooms(self) -> list[int]:
        return [slot.num_columns for slot in self.slots]

    @cached_property
    def num_columns(self) -> int:
        return sum(self.rooms)

    @cached_property
    def num_stepped(self) -> int:
        """The first columns, which the optimizer steps; the others take their gradient as their change."""
        return sum(slot.num_columns for slot in self.slots if slot.role == TRAINED)

    @cached_property
    def num_parameters(self) -> int:
        """Spare columns and running statistics aside."""
        return sum(slot.size for slot in self.slots if slot.role != BUFFER)

    @cached_property
    def layers(self) -> dict[str, int]:
        """The columns of each layer among those that are stepped, input side first."""
        found: dict[str, int] = {}
        for slot in self.slots:
            if slot.role == TRAINED:
                found[slot.layer] = found.get(slot.layer, 0) + slot.num_columns
        return found

    def views(self, flat: Tensor) -> list[Tensor]:
        """Each slot's part (K, *stored) of a matrix (K, columns or more)."""
        parts = flat[:, : self.num_columns].split_with_sizes(self.rooms, dim=1)
        pairs = zip(parts, self.slots, strict=True)
        return [part[:, : math.prod(slot.stored)].view(len(flat), *slot.stored) for part, slot in pairs]

    def named(self, row: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """One network's tensors by name, such as dense1.weight (in, out), out of its row (columns,)."""
        return {slot.name: place[_own(slot)].copy() for slot, place in self._places(row)}

    def row(self, tensors: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """The row (columns,) of tensors by name; KeyError where one is missing."""
        row = np.zeros(self.num_columns, np.float32)
        for slot, place in self._places(row):
            place[_own(slot)] = tensors[slot.name]
        return row

    def _places(self, row: NDArray[np.float32]) -> list[tuple[Slot, NDArray[np.float32]]]:
        firsts = np.cumsum([0, *self.rooms]).tolist()
        pairs = zip(self.slots, firsts, strict=False)
        return [(slot, row[a : a + math.prod(slot.stored)].reshape(slot.stored)) for slot, a in pairs]


def _own(slot: Slot) -> Any:
    return (..., slice(slot.shape[-1])) if slot.spare else ...


class Net(Protocol):
    """K networks of one layout, each with its row of `flat`."""

    layout: Layout
    flat: Tensor
    """(K, columns) float32: all that is trained, kept, resumed and published."""

    def initialise(self, seeds: Sequence[int]) -> None:
        """Fill row k with the first values of seed k."""

    def hold(self, names: Collection[str]) -> None:
        """From now on gradients of running statistics of these names are zero, and training takes them as they are."""

    def forward(self, x: Rows) -> Tensor:
        """Inputs (K, B, *input_shape), or of one network ragged ones, to logits (K, B, outputs), without any randomness."""

    def plain(self) -> nn.Module:
        """The first network as a module of its own (B, *input_shape) -> (B, outputs), which torch can follow and export."""

    def gradient(self, x: Rows, draw: Draw, loss: Callable[[Tensor], Tensor], out: Tensor) -> Tensor:
        """Write the gradient of a shard (K, columns) to `out`, spare columns aside; return its logits.

        loss: from logits to their gradient, of the same shape.
        """


class Spec(Protocol):
    """A network as it is planned: hashable and small, sent to workers, each of which builds the same network of it."""

    @property
    def input_shape(self) -> tuple[int, ...]: ...

    @property
    def num_inputs(self) -> int:
        """Values of a row, of the longest where they are ragged."""

    @property
    def num_outputs(self) -> int: ...

    @property
    def max_lanes(self) -> int | None:
        """So many networks can be trained side by side; None: as many as fit."""

    @property
    def num_masked(self) -> int:
        """Units of one sample that dropout masks are drawn for."""

    def layout(self) -> Layout: ...

    def forward_flops(self) -> int:
        """Floating-point operations of one sample's way through products and convolutions."""

    def num_values(self) -> int:
        """What one sample leaves on its way, in float32 values: the memory of a step."""

    def build(self, num_lanes: int, device: torch.device | str = "cpu") -> Net: ...

    def check(self, fewest_rows: int) -> None:
        """ConfigError where it can't be trained exactly. fewest_rows: of the smallest shard that training has."""

    def notes(self) -> list[str]:
        """What to know of it before it is trained, in a line each."""

    def __str__(self) -> str: ...
