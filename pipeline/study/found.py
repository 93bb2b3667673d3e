"""What was measured of a study, as `effects.json` has it: the words about it come from `effects` and `answer`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.schema.study import SCRATCH

Contrast = Mapping[str, Mapping[str, Any]]
"""By dotted key: the values of the `variant`, of its `reference`, and of the project `now`."""


@dataclass(frozen=True)
class Mean:
    """Of a variant's runs."""

    mean: float | None


@dataclass(frozen=True)
class Shift(Mean):
    """Of another metric than the study's own: without a verdict."""

    difference: float | None
    interval: list[float] | None


@dataclass(frozen=True)
class Baseline:
    """What variants are compared with."""

    mean: float | None
    changes: Mapping[str, Any]
    contrast: Contrast
    num_failed: int
    others: Mapping[str, Mean]
    """By metric."""


@dataclass(frozen=True)
class Effect:
    """A variant against what it is compared with, paired over the seeds that both have finished."""

    name: str
    changes: Mapping[str, Any]
    contrast: Contrast
    against: str
    start: str | None
    """In a study with sources: the source that it starts from, SCRATCH for none."""
    mean: float | None
    difference: float | None
    interval: list[float] | None
    bootstrap: list[float] | None
    differences: list[float]
    """Of each seed; with folds, of each fold, the mean over its seeds."""
    p: float | None
    p_holm: float | None
    p_equivalent: float | None
    p_equivalent_holm: float | None
    verdict: str
    num_seeds: int
    """So many seeds, in some fold, of runs that both have finished."""
    num_folds: int | None
    """So many folds of such runs; None: the study has none."""
    num_failed: int
    expected: str | None
    as_expected: bool | None
    others: Mapping[str, Shift]
    """By metric."""

    @property
    def asked(self) -> bool:
        """Whether the question is about it: with sources, not about what starts from scratch with other levels."""
        return self.start != SCRATCH


@dataclass(frozen=True)
class Failure:
    """A run without a value of the metric."""

    variant: str
    seed: int
    fold: int | None
    failure: str


@dataclass(frozen=True)
class Advice:
    """What to do next, with a command to paste where there is one."""

    text: str
    command: str | None = None


@dataclass(frozen=True)
class Effects:
    """Of all variants of a study; in the order of `effects.json`."""

    name: str
    question: str
    finding: str | None
    metric: str
    seeds: list[int]
    folds: int | None
    correction: str | None
    """What the intervals and tests allow for, beside the number of variants."""
    confidence: float
    margin: float | None
    num_cells: int
    num_failed: int
    num_accepted: int
    baseline: Baseline
    variants: list[Effect]
    failures: list[Failure]
    otherwise: str
    """In what all of the runs differ from the project's configuration, beside what is compared."""
    notes: list[str]

    @property
    def asked(self) -> list[Effect]:
        """The variants that the question is about."""
        return [variant for variant in self.variants if variant.asked]
