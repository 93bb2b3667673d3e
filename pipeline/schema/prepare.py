"""How the data becomes a dataset."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from pipeline.schema.base import Section

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


class PrepareConfig(Section):
    """`prepare.*`."""

    val_fraction: Fraction
    test_fraction: Fraction
    split_seed: Annotated[int, Field(ge=0)]
    max_bad_fraction: Annotated[float, Field(ge=0.0, le=1.0)]
    """Above this share of unreadable samples the stage stops."""
    limit: Annotated[int, Field(ge=1)] | None
    """At most this many samples, chosen by content; null: all."""

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> PrepareConfig:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction + test_fraction must be below 1, so that something is left to train on")
        return self
