"""Pretrained networks that take a kind's samples: which layouts there are, and how stored rows become their inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from pipeline.kinds.inputs import Cast, Taken
from pipeline.kinds.kind import BUILT_IN, Fit

if TYPE_CHECKING:
    from torch import Tensor

Recipe = dict[str, Any]
"""How rows become inputs, as a network's own files say, as JSON."""


class Fed(Protocol):
    """How a network gets its inputs, and where its features are. Needs no torch before `to_published`."""

    def misfit(self, recipe: Recipe, fit: Fit, shape: Sequence[int]) -> str | None:
        """Why rows of this shape can't become its inputs, with what to do; None: they can."""

    def taken(self, recipe: Recipe, shape: Sequence[int], lengths: Sequence[int] | None) -> Taken:
        """What a row of this shape becomes."""

    def to_published(self, recipe: Recipe, shape: Sequence[int], device: Any) -> Cast:
        """The network's own cast, which takes the place of the kind's."""

    def named(self, recipe: Recipe, x: Tensor, lengths: Tensor | None) -> dict[str, Tensor]:
        """Inputs (B, ...), of ragged rows (B, longest, ...) and how many are each row's, as its forward takes them, in its
        order."""

    def pooled(self, layout: str, output: Any, inputs: Mapping[str, Tensor]) -> Tensor:
        """Features (B, width) in what a network returns."""


class Pretrained(Fed, Protocol):
    """A kind's part: of published networks."""

    FILES: tuple[str, ...]
    """What a network's folder holds beside its shape and weights: how its inputs are made."""
    LAYOUTS: Mapping[str, str]
    """`model_type` of the layouts that take such samples, and how features are taken of what they return."""
    BUILDING: tuple[str, ...]
    """What of a recipe the network itself needs: the rest is of the cast."""

    def recipe(self, config: Mapping[str, Any], files: Mapping[str, Any]) -> Recipe:
        """From a network's config.json and `FILES`, read as JSON; ValueError says what of them can't be followed."""


class Scaled(Pretrained, Protocol):
    """Of a kind whose samples one's own network may take in another size and scale than the data's."""

    def own_recipe(self, said: Mapping[str, Any], fit: Fit, shape: Sequence[int]) -> Recipe:
        """From what is said of such a network, the rest being the data's own; ValueError says what can't be followed."""


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
