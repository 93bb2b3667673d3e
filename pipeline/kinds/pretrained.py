"""Published networks that take a kind's samples: which layouts there are, and how stored rows become their inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from pipeline.kinds.kind import BUILT_IN, Fit

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.kinds.ragged import Rows

Recipe = dict[str, Any]
"""How rows become inputs, as a network's own files say, as JSON."""
Given = Callable[["Rows"], "dict[str, Tensor]"]
"""Rows as stored to what a network's forward is called with, by name."""


class Pretrained(Protocol):
    """A kind's part. Needs no torch before `to_published`."""

    FILES: tuple[str, ...]
    """What a network's folder holds beside its shape and weights: how its inputs are made."""
    LAYOUTS: Mapping[str, str]
    """`model_type` of the layouts that take such samples, and how features are taken of what they return."""

    def recipe(self, config: Mapping[str, Any], files: Mapping[str, Any]) -> Recipe:
        """From a network's config.json and `FILES`, read as JSON; ValueError says what of them can't be followed."""

    def misfit(self, recipe: Recipe, fit: Fit, shape: Sequence[int]) -> str | None:
        """Why rows of this shape can't become its inputs, with what to do; None: they can."""

    def to_published(self, recipe: Recipe, shape: Sequence[int], device: Any) -> Given:
        """The network's own cast, which takes the place of the kind's."""

    def pooled(self, how: str, output: Any, inputs: Mapping[str, Tensor]) -> Tensor:
        """Features (B, width) in what a network returns."""


class TunedInputs(Pretrained, Protocol):
    """Of a kind whose inputs are numbers of one shape, so that a network can be trained on them."""

    def input_shape(self, recipe: Recipe, shape: Sequence[int]) -> tuple[int, ...]:
        """Of what a row of this shape becomes."""


def pretrained_of(kind: str) -> Pretrained | None:
    """None where no published network takes samples of the kind."""
    if kind not in BUILT_IN or kind == "table":
        return None
    return cast(Pretrained, import_module(f"pipeline.kinds.{kind}.pretrained"))


def part_of(kind: str) -> Pretrained:
    """That of a kind of which it is known that published networks take its samples."""
    part = pretrained_of(kind)
    assert part is not None, f"a backbone for {kind} has been refused"
    return part


def kind_of_layout(layout: str) -> str | None:
    """Of which kind the samples are that a layout takes; None where it is not known here."""
    parts = {kind: pretrained_of(kind) for kind in BUILT_IN}
    return next((kind for kind, part in parts.items() if part and layout in part.LAYOUTS), None)
