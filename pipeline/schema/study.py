"""Studies: a baseline, named variants of it, shared seeds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.metrics import METRICS, Judged
from pipeline.schema.base import Section
from pipeline.schema.model import RUN_NAME
from pipeline.schema.prepare import FEWEST_FOLDS

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Changes = dict[str, Any]
"""Dotted keys and their values, such as {"model.dropout": 0.0}."""
SECTIONS = ("data", "prepare", "augment", "model", "train")
"""Those that decide a run, and whose keys its runs may change."""
Run = Annotated[str, Field(pattern=RUN_NAME)]
START, SCRATCH = "start", "scratch"
"""The factor that `sources` makes, and its first level."""
FROM_NOTHING: Changes = {
    "model.init_from": None,
    "model.freeze": 0,
    "train.unfreeze_epoch": None,
    "train.transferred_rate": 1.0,
}
"""How a network starts that takes nothing over."""
Verdict = Literal["helps", "hurts", "equivalent", "no evidence", "more", "less", "failed"]


class StudyDefinition(Section):
    """`study.definitions.NAME`. It has defaults, unlike other sections: conf/ can't give them below a name it does not know."""

    question: str
    baseline: Changes = Field(default_factory=dict)
    """What all its runs differ in from the rest of the configuration."""
    variants: dict[Name, Changes] = Field(default_factory=dict)
    factors: dict[Name, dict[Name, Changes]] = Field(default_factory=dict)
    """Factors with named levels, the first of each being the baseline's."""
    sources: dict[Name, Run] | None = None
    """Runs, by a name for each, that networks start from: a first factor `start`, whose first level is from scratch. How the
    others start beside that (model.freeze, train.transferred_rate) is what `baseline` says. {}: they are still to be named."""
    grid: Literal["full", "one_at_a_time"] = "full"
    """full: every combination of levels; one_at_a_time: the baseline with one factor changed."""
    seeds: Annotated[int, Field(ge=1)]
    """train.seed and the ones after it; the same for every variant."""
    folds: Annotated[int, Field(ge=FEWEST_FOLDS)] | None = None
    """Every variant with every seed on each of so many folds, judged on the fold's own test part; null: on the splits."""
    metric: Judged = "val_loss"
    """What the verdict is about."""
    margin: Annotated[float, Field(gt=0.0)] | None = None
    """The largest difference that does not matter, in the metric's unit: needed to find two variants equivalent."""
    test: bool = False
    """Judge every run's best weights on the test split too; each such reading is counted."""
    finding: str | None = None
    """What is expected, in words."""
    expected: dict[Name, Verdict] = Field(default_factory=dict)
    """The verdicts that are expected, by variant."""

    @property
    def every_factor(self) -> dict[Name, dict[Name, Changes]]:
        """The factors with the one that `sources` makes before them."""
        if not self.sources:
            return self.factors
        beside = {key: value for key, value in self.baseline.items() if key in FROM_NOTHING}
        started = {name: {**beside, "model.init_from": run} for name, run in self.sources.items()}
        return {START: {SCRATCH: FROM_NOTHING, **started}, **self.factors}

    @property
    def reads_test(self) -> bool:
        """Whether runs are judged on a test split: the project's, or a fold's."""
        return self.test or self.folds is not None

    @property
    def judged_by(self) -> str:
        """The metric of the verdict: with folds on the part that no run has chosen anything by, not on validation samples."""
        on_test = self.metric.replace("val_", "test_", 1) if self.metric.startswith("val_") else self.metric
        return self.metric if self.folds is None or on_test not in METRICS else on_test


class StudyConfig(Section):
    """`study.*`: the stage runs once per definition."""

    on_run: list[Name] | None
    """The studies that `regatta run` brings up to date; null: all that are defined."""
    definitions: dict[Name, StudyDefinition]
