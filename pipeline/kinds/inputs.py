"""The one cast there is: from rows as stored to what a network takes, the same in training, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.kinds.extended import extended
from pipeline.kinds.kind import HOUSE, Fit

if TYPE_CHECKING:
    import torch

    from pipeline.kinds.ragged import Rows

Cast = Callable[[Any], "Rows"]
"""Rows as stored, (B, *shape) or `Ragged` as the kind has them, to inputs (B, ...) or ragged ones on the device that it was
made for. A row's own inputs depend on no other."""
Lengths = tuple[int, int, int]
"""The fewest, the median and the most items of a row."""


@dataclass(frozen=True)
class Taken:
    """What a network takes of a row."""

    shape: tuple[int, ...]
    """Of it or, where it is ragged, of one of its items."""
    lengths: Lengths | None = None
    """None: inputs are of the one shape."""
    num_tokens: int | None = None
    """Inputs are whole numbers (int64) below this; None: they are float32."""
    weighted: bool = False
    """Each token has a weight beside it: items (token, weight) float32, which holds whole numbers up to 2**24."""


class Inputs(Protocol):
    """A kind's cast."""

    def input_shape(self, fit: Fit, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of one of the inputs that rows of this shape become. Needs no torch."""

    def to_input(self, fit: Fit, shape: Sequence[int], device: torch.device | str) -> Cast:
        """The cast of rows of this shape by what was fitted."""

    def check_inputs(self, inputs: Rows, shape: tuple[int, ...]) -> None:
        """DataError where these are not rows (B, *shape), or ragged ones of such items, as stored, with what to do: others
        would give wrong answers."""


class RaggedInputs(Inputs, Protocol):
    """Of a kind whose rows are ragged."""

    def input_lengths(self, fit: Fit, lengths: Lengths) -> Lengths | None:
        """The fewest, the median and the most items of inputs, from those of rows; None: inputs are of one shape. No torch."""


class TokenInputs(Inputs, Protocol):
    """Of a kind whose inputs are whole numbers (int64), such as places in a vocabulary."""

    def num_tokens(self, fit: Fit) -> int:
        """They are below this. Needs no torch."""


class WeightedInputs(TokenInputs, Protocol):
    """Of a kind whose inputs are rows of (token, weight), as float32."""

    def weighted(self, fit: Fit) -> bool:
        """Whether each token has its weight beside it."""


class DearInputs(Inputs, Protocol):
    """Of a kind whose cast costs so much that rows which stay as they are should be cast once and kept."""

    CAST_ONCE: bool


class GivenInputs(Inputs, Protocol):
    """Of a kind that takes samples as a user has them, beside rows as stored."""

    def as_stored(self, samples: Any, fit: Fit) -> torch.Tensor | list[torch.Tensor]:
        """Samples as rows as stored, a list where they are ragged or own windows; DataError where they can't be such rows."""


class WaryInputs(Inputs, Protocol):
    """Of a kind that can tell samples with what training never saw, to which an answer is a guess."""

    UNSEEN: str
    """What there is of such a sample, for people."""

    def unseen(self, fit: Fit) -> Callable[[Any], int]:
        """Counts them among rows as stored, (B, *shape) or a list of ragged ones."""


class MeaningfulInputs(Inputs, Protocol):
    """Of a kind each of whose inputs means something, such as a word, that another dataset may have elsewhere or not at all."""

    def meanings(self, fit: Fit) -> list[Any]:
        """What each token, or each input, means: equal values mean the same. Needs no torch."""


class ImaginedInputs(Inputs, Protocol):
    """Of a kind of whose rows not every value of their type can be one."""

    def made_up(self, fit: Fit, num: int) -> NDArray[Any]:
        """Rows (num, *shape) as stored, as they may be, the same each time."""


def inputs_of(kind: str) -> Inputs:
    """How rows of a kind become inputs."""
    if kind in HOUSE:
        return cast(Inputs, import_module(f"pipeline.kinds.{kind}.inputs"))
    return cast(Inputs, extended(kind))


def unseen_of(kind: str, fit: Fit) -> Callable[[Any], int] | None:
    """Counts rows with what training never saw; None where the kind can't tell."""
    found = inputs_of(kind)
    return cast(WaryInputs, found).unseen(fit) if hasattr(found, "unseen") else None


def unseen_words(kind: str) -> str:
    """What such samples have, for people."""
    return cast(WaryInputs, inputs_of(kind)).UNSEEN


def meanings_of(kind: str) -> Callable[[Fit], list[Any]] | None:
    """What its inputs mean; None where that is the same in all datasets of one shape."""
    found = inputs_of(kind)
    return cast(MeaningfulInputs, found).meanings if hasattr(found, "meanings") else None


def made_up(kind: str, fit: Fit, shape: Sequence[int], dtype: np.dtype[Any], num: int) -> NDArray[Any]:
    """Rows (num, *shape) as stored that nobody has measured, to try a network on where there are none. Needs no torch."""
    found = inputs_of(kind)
    if hasattr(found, "made_up"):
        return cast(ImaginedInputs, found).made_up(fit, num)
    drawn = np.random.default_rng(0)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return drawn.integers(limits.min, limits.max, (num, *shape), dtype, endpoint=True)
    return drawn.standard_normal((num, *shape)).astype(dtype)


def is_cast_once(kind: str) -> bool:
    """Whether inputs of rows that stay as they are should be kept."""
    found = inputs_of(kind)
    return hasattr(found, "CAST_ONCE") and cast(DearInputs, found).CAST_ONCE


def taken(kind: str, fit: Fit, shape: Sequence[int], lengths: Sequence[int] | None) -> Taken:
    """What a network takes of a kind's rows: of this shape, or ragged with the fewest, the median and the most items."""
    inputs, given = inputs_of(kind), None
    if lengths is not None:
        if not hasattr(inputs, "input_lengths"):
            raise ConfigError(f"data.kind = {kind!r}: it lacks input_lengths, which ragged rows need (docs/kinds.md)")
        given = cast(RaggedInputs, inputs).input_lengths(fit, (lengths[0], lengths[1], lengths[2]))
    num_tokens = cast(TokenInputs, inputs).num_tokens(fit) if hasattr(inputs, "num_tokens") else None
    weighted = hasattr(inputs, "weighted") and cast(WeightedInputs, inputs).weighted(fit)
    return Taken(tuple(inputs.input_shape(fit, shape)), given, num_tokens, weighted)
