"""How the data becomes a dataset."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from pipeline.schema.base import Section

FEWEST_FOLDS = 3
"""So many differences a verdict needs."""
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


class PrepareConfig(Section):
    """`prepare.*`."""

    val_fraction: Fraction
    test_fraction: Fraction
    split_seed: Annotated[int, Field(ge=0)]
    max_bad_fraction: Annotated[float, Field(ge=0.0, le=1.0)]
    """Above this share of unreadable samples the stage stops."""
    alike: Literal["tell", "leave_out", "off"]
    """Samples that closely resemble one of a later split: told in a note, left out, or not looked for."""
    limit: Annotated[int, Field(ge=1)] | None
    """At most this many samples, chosen by content; null: all."""
    fold: Annotated[list[int], Field(min_length=2, max_length=2)] | None
    """[2, 5]: test is the second of five parts of what is train and val otherwise, as in that cell of a study with folds."""

    @field_validator("fold")
    @classmethod
    def _is_one_of_them(cls, fold: list[int] | None) -> list[int] | None:
        if fold is not None and not (1 <= fold[0] <= fold[1] and fold[1] >= FEWEST_FOLDS):
            raise ValueError(f"write [NUMBER, FOLDS], such as [1, 5]: a number from 1 to FOLDS, of at least {FEWEST_FOLDS}")
        return fold

    @property
    def identity(self) -> dict[str, Any]:
        """What a dataset's digest has of this section: without folds, what it had before there were any."""
        return self.model_dump(exclude={"fold"} if self.fold is None else None)

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> PrepareConfig:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction + test_fraction must be below 1, so that something is left to train on")
        return self
