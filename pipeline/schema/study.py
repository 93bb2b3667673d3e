"""Studies: a baseline, named variants of it, shared seeds."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pipeline.schema.base import Section

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class StudyDefinition(Section):
    """`study.definitions.NAME`: the difference of each variant in dotted keys, such as {"model.dropout": 0.0}."""

    question: str
    baseline: dict[str, Any]
    variants: dict[str, dict[str, Any]]
    num_seeds: Annotated[int, Field(ge=1)]


class StudyConfig(Section):
    """`study.*`: the stage runs once per definition."""

    definitions: dict[Name, StudyDefinition]
