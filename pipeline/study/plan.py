"""A study's runs: every variant of the configuration with every seed, and which of them can be trained side by side."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.data.dataset import Manifest
from pipeline.errors import ConfigError
from pipeline.schema.base import Section, key_paths, validated
from pipeline.schema.model import ModelConfig
from pipeline.schema.study import StudyDefinition
from pipeline.schema.train import TrainConfig
from pipeline.train.identity import NOT_IDENTITY
from pipeline.train.program import Lane, Program, planned

BASELINE = "baseline"
SECTIONS: dict[str, type[Section]] = {"model": ModelConfig, "train": TrainConfig}
"""What a variant may change: the prepared data and its augmented copies are shared."""


@dataclass(frozen=True)
class Cell:
    """One run of a study."""

    variant: str
    seed: int
    model: ModelConfig
    train: TrainConfig


FIXED = ("train.seed", *(f"train.{name}" for name in NOT_IDENTITY))
"""Seeds are the study's own, and these change no result."""


def cells(definition: StudyDefinition, model: ModelConfig, train: TrainConfig) -> list[Cell]:
    """All runs, the baseline's first; the same seeds for every variant. ConfigError lists every variant that is wrong."""
    base = {"model": model.model_dump(), "train": train.model_dump()}
    problems: list[str] = []
    configurations: dict[str, dict[str, Any]] = {}
    for name, changes in {BASELINE: {}, **definition.variants}.items():
        try:
            configurations[name] = _changed(base, {**definition.baseline, **changes}, name)
        except ConfigError as error:
            problems.append(str(error))
    problems += [
        f"study variant {name}: the same as {other}; give it a difference or take it out"
        for i, name in enumerate(configurations)
        for other in list(configurations)[:i]
        if configurations[name] == configurations[other]
    ]
    if BASELINE in definition.variants:
        problems.append(f"study variant {BASELINE}: the name is taken by the baseline itself; choose another")
    if problems:
        raise ConfigError("\n".join(problems))
    return [
        Cell(
            name,
            train.seed + i,
            validated(ModelConfig, values["model"], "model"),
            validated(TrainConfig, {**values["train"], "seed": train.seed + i}, "train"),
        )
        for name, values in configurations.items()
        for i in range(definition.num_seeds)
    ]


def _changed(base: Mapping[str, Mapping[str, Any]], changes: Mapping[str, Any], variant: str) -> dict[str, Any]:
    values = {section: dict(keys) for section, keys in base.items()}
    known = [path for section, schema in SECTIONS.items() for path in key_paths(schema, section)]
    for path in FIXED:
        known.remove(path)
    for path, value in changes.items():
        if path not in known:
            near = difflib.get_close_matches(path, known, n=1)
            hint = (
                f"did you mean {near[0]}?"
                if near and path not in FIXED
                else f"a variant may change model.* and train.* (but not {', '.join(FIXED)})"
            )
            raise ConfigError(f"study variant {variant}: {path} = {value!r}: unknown key; {hint}")
        section, key = path.split(".", 1)
        values[section][key] = value
    for section, schema in SECTIONS.items():
        try:
            validated(schema, values[section], section)
        except ConfigError as error:
            raise ConfigError(f"study variant {variant}: {error}") from None
    return values


def packs(
    chosen: Iterable[Cell], data: Manifest, largest: Callable[[Program], int]
) -> list[tuple[Program, list[tuple[Cell, Lane]]]]:
    """Runs of one program together, at most `largest(program)` at once; ConfigError where one does not fit the data."""
    together: dict[Program, list[tuple[Cell, Lane]]] = {}
    for cell in chosen:
        program, lane = planned(cell.model, cell.train, data)
        together.setdefault(program, []).append((cell, lane))
    return [
        (program, members[first : first + largest(program)])
        for program, members in together.items()
        for first in range(0, len(members), largest(program))
    ]
