"""What a rule answers, and what it says to do next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["good", "note", "warn"]

TOPICS = {
    "unfinished": "Training",
    "learned": "Learning",
    "not_more_right": "Learning",
    "unconfirmed": "Learning",
    "unclear": "Learning",
    "unlearned": "Learning",
    "telling": "Data",
    "best_epoch": "Best epoch",
    "unchanged": "Best epoch",
    "overfitting": "Overfitting",
    "unstable": "Overfitting",
    "later_epochs": "Overfitting",
    "underfitting": "Underfitting",
    "epochs": "Epochs",
    "improving": "Epochs",
    "gradients": "Gradients",
    "exploding": "Gradients",
    "never_predicted": "Classes",
    "missed": "Classes",
    "few_of_class": "Classes",
    "calibration": "Calibration",
    "temperature": "Calibration",
    "unfitted": "Calibration",
    "few_positives": "Threshold",
    "costs": "Costs",
    "baseline": "Baseline",
    "splits": "Splits",
    "few_samples": "Test split",
    "start": "Training samples",
    "reads": "Test split",
}
"""What each rule is about, to read."""


@dataclass(frozen=True)
class Step:
    """Something to do next: a reason in words, and a command to paste."""

    text: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Dotted keys (or a section, for its file) and the values that the command sets."""
    words: str = "run"
    """Which command, with its own words; empty: there is none, the reason says it all."""

    @property
    def command(self) -> str:
        """As it is typed; empty where there is none."""
        if not self.words:
            return ""
        pairs = (shlex.quote(f"{key}={written(value)}") for key, value in self.changes.items())
        return " ".join(["regatta", self.words, *pairs])


@dataclass(frozen=True)
class Finding:
    """One rule's answer."""

    rule: str
    """Which rule says it: what is chosen by, where `headline` is only read."""
    level: Level
    headline: str
    detail: str
    steps: tuple[Step, ...] = ()
    """What to do next, the first thing first; of a note and a warning at least one."""

    @property
    def topic(self) -> str:
        """What it is about."""
        return TOPICS[self.rule]


def written(value: Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
