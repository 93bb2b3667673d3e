"""The keys of tables: how columns are read (`data.*`) and rows augmented (`augment.*`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline.schema.augment import AugmentConfig, Probability
from pipeline.schema.data import DataConfig
from pipeline.wording import counted

Names = list[Annotated[str, Field(min_length=1)]]
TYPES = ("number", "category", "date", "ignore")

VARIED = ("data.number", "data.category", "data.date", "data.missing", "data.rare", "data.bins")


class TableData(DataConfig):
    """`data.*` of tables."""

    header: Names | None
    """Names of the columns of a CSV without a line that names them; null: its first line does."""
    number: Names
    """Columns that are numbers whatever their cells look like; rows in which one is none are rejected. Likewise the next."""
    category: Names
    date: Names
    ignore: Names
    """Columns that are no part of a sample."""
    missing: list[str]
    """Texts that stand for a missing value in every column, beside empty cells."""
    rare: Annotated[int, Field(ge=1)]
    """Categories seen less often in training are taken as one, and exact values of a number are told apart from so many on."""
    bins: Annotated[int, Field(ge=1, le=1024)]
    """Most pieces of the piecewise linear encoding of a number."""

    @classmethod
    def form(cls, shape: Sequence[int], lengths: Sequence[int] | None) -> str:
        """As the base has it."""
        return f"rows of {counted(shape[0], 'number')}"

    def asked(self, name: str) -> str | None:
        """The type that the keys give a column."""
        return next((type_ for type_ in TYPES if name in getattr(self, type_)), None)

    def _is_no_input(self, name: str, type_: str) -> str | None:
        """What is wrong with a type for a column that is no input; that a column of times or groups is ignored is right."""
        labels = self.label if isinstance(self.label, list) else [self.label]
        beside = {"split": self.split, "group": self.group, "time": self.time}
        key = "label" if name in labels else next((key for key, own in beside.items() if own == name), None)
        if key is None or (type_ == "ignore" and key != "label"):
            return None
        of_number = "; say target = number to predict a number" if (key, type_) == ("label", "number") else ""
        return f"{type_} names the column {name!r}, which is no input but the {key}'s; take it out of {type_}{of_number}"

    @model_validator(mode="after")
    def _each_named_once(self) -> Self:
        said = [(name, type_) for type_ in TYPES for name in getattr(self, type_)]
        problems = [_named_twice(*each, said) for each in said if [name for name, _ in said].count(each[0]) > 1]
        problems += [problem for name, type_ in said if (problem := self._is_no_input(name, type_))]
        if problems:
            raise ValueError("\n".join(dict.fromkeys(problems)))
        if self.header and len({*self.header}) < len(self.header):
            raise ValueError(f"header = {self.header}: each column needs a name of its own")
        return self


def _named_twice(name: str, type_: str, said: list[tuple[str, str]]) -> str:
    keys = list(dict.fromkeys(of for other, of in said if other == name))
    where = f"{' and '.join(keys)} both name" if len(keys) == 2 else f"{', '.join(keys)} name"
    return f"{where if len(keys) > 1 else f'{type_} names'} the column {name!r}, which may be named once; leave it in one place"


class TablePolicy(AugmentConfig):
    """`augment.*` of tables: each operation drawn per sample; 0 switches it off."""

    kind = "table"

    noise: Annotated[float, Field(ge=0.0, le=1.0)]
    """Largest standard deviation of what is added to a number, as a share of the column's deviation in training."""
    redraw: Probability
    """Probability that a column's cell is another one, drawn as they occur in training."""

    @property
    def active(self) -> bool:
        """Whether any operation is on."""
        return self.strength > 0 and (self.noise > 0 or self.redraw > 0)

    def scaled(self) -> Self:
        """The same policy with its strength taken into the operations."""
        own = {"noise": self.noise * self.strength, "redraw": self.redraw * self.strength}
        return self if self.strength == 1 else self.model_copy(update={"strength": 1.0, **own})


DATA, POLICY = TableData, TablePolicy
