"""The one cast there is: from rows as stored to what a network takes, the same in training, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from pipeline.kinds.extended import extended
from pipeline.kinds.kind import BUILT_IN, Fit

if TYPE_CHECKING:
    import torch

Cast = Callable[["torch.Tensor"], "torch.Tensor"]
"""Rows (B, *shape) as stored to inputs (B, ...) on the device that it was made for. A row's own inputs depend on no other."""


class Inputs(Protocol):
    """A kind's cast."""

    def input_shape(self, fit: Fit, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of one of the inputs that rows of this shape become. Needs no torch."""

    def to_input(self, fit: Fit, shape: Sequence[int], device: torch.device | str) -> Cast:
        """The cast of rows of this shape by what was fitted."""

    def check_inputs(self, inputs: torch.Tensor, shape: tuple[int, ...]) -> None:
        """DataError where these are not rows (B, *shape) as stored, with what to do: others would give wrong answers."""


def inputs_of(kind: str) -> Inputs:
    """How rows of a kind become inputs."""
    if kind in BUILT_IN:
        return cast(Inputs, import_module(f"pipeline.kinds.{kind}.inputs"))
    return cast(Inputs, extended(kind))
