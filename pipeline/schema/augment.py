"""What augmentation of all kinds of data shares; each kind adds its own operations (`pipeline/kinds`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field

from pipeline.schema.base import Section

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class AugmentConfig(Section):
    """`augment.*`."""

    kind: ClassVar[str] = ""
    """Whose operations these are."""

    seed: Annotated[int, Field(ge=0, lt=2**63)]
    """Not the run's seed: runs of different seeds share their augmented samples."""
    views: Annotated[int, Field(ge=0, le=256)]
    """Augmented copies written per training sample; 0: none are written, each batch draws its own."""
    strength: Probability
    """Share of every strength and probability below: 1 as given, 0 no augmentation."""

    @property
    def alternates(self) -> bool:
        """Whether a sample shows views of even and of odd numbers in turns, from one epoch to the next."""
        return False

    @property
    def active(self) -> bool:
        """Whether any operation is on."""
        return False

    def scaled(self) -> Self:
        """The same policy with its strength taken into the operations."""
        return self
