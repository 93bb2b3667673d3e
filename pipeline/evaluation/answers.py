"""How answers are taken from a network's probabilities, as a file that travels with its weights: `decision.json`.

What it holds was chosen on validation samples by `evaluate.threshold`: thresholds, what is left open, classes' shares, and
the temperature where it is used.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import artifacts
from pipeline.errors import StorageError
from pipeline.evaluation.classes import Ints, Mask
from pipeline.evaluation.decisions import Decision, at_temperature
from pipeline.evaluation.thresholds import Cut, Thresholds

FILE = "decision.json"
FORMAT = 1


@dataclass(frozen=True)
class Answers:
    """From probabilities (N, C) as a network gives them to answers, as `evaluate` takes them."""

    weights: str
    """SHA-256 of the weights whose probabilities these are."""
    rule: str | None
    """As `evaluate.threshold` has it."""
    classes: list[str]
    decision: Decision
    temperature: float | None = None
    """By which logits are divided; None: probabilities are as they are."""
    fitted: float | None = None
    """The temperature that fits validation samples best, whether it is used or not; None: there were none."""

    def probabilities(self, given: NDArray[Any]) -> NDArray[Any]:
        """At the temperature that is used."""
        return given if self.temperature is None else at_temperature(given, self.decision.task, self.temperature)[0]

    def predictions(self, given: NDArray[Any]) -> Ints:
        """Classes (N,), or labels (N, C) of 0 and 1; likewise `left_open`, which of them are not given (None: all are)."""
        return self.decision.predictions(self.probabilities(given))

    def left_open(self, given: NDArray[Any]) -> Mask | None:
        return self.decision.left_open(self.probabilities(given))

    def names(self, given: NDArray[Any]) -> list[str | list[str] | None]:
        """By sample the class, or the labels; None where the answer is left open, and such labels are not among them."""
        chosen, left_open = self.predictions(given), self.left_open(given)
        if chosen.ndim == 1:
            names = np.array(self.classes, object)[chosen]  # by columns: of many samples this is what predicting costs
            if left_open is not None:
                names[left_open] = None
            found: list[str | list[str] | None] = names.tolist()
            return found
        kept = chosen if left_open is None else np.where(left_open, 0, chosen)
        return [[self.classes[i] for i in np.flatnonzero(row).tolist()] for row in kept]


def described(answers: Answers) -> dict[str, Any]:
    """As JSON-like data."""
    own = answers.decision
    return {
        "format": FORMAT,
        "weights_sha256": answers.weights,
        "rule": answers.rule,
        "task": own.task,
        "classes": answers.classes,
        "temperature": answers.temperature,
        "fitted_temperature": answers.fitted,
        "cuts": [asdict(cut) for cut in own.thresholds.cuts] if own.thresholds else None,
        "shares": None if own.shares is None else own.shares.tolist(),
        "least_confidence": own.least_confidence,
    }


def load_answers(file: Path, weights: str) -> Answers:
    """What `evaluate` has written; StorageError where it is of other weights. weights: SHA-256 of those that are at hand."""
    values = artifacts.read_json(file)
    if values["weights_sha256"] != weights:
        raise StorageError(
            f"{file}: was chosen for other weights than these; say `dvc repro evaluate`, or take its own weights"
        )
    cuts = [Cut(**cut) for cut in values["cuts"]] if values["cuts"] else None
    thresholds = Thresholds(cuts, np.zeros(len(cuts), np.int64), []) if cuts else None
    shares = None if values["shares"] is None else np.array(values["shares"])
    decision = Decision(values["task"], thresholds, shares, values["least_confidence"])
    temperatures = values["temperature"], values.get("fitted_temperature")
    return Answers(weights, values["rule"], values["classes"], decision, *temperatures)
