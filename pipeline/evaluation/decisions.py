"""From probabilities to decisions: what is fitted and chosen on validation samples, and what it makes of test samples.

Labels and probabilities are those of `classes`. Nothing here sees a test label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.classes import Floats, Ints, Mask, predicted_labels
from pipeline.evaluation.costs import Costs
from pipeline.evaluation.numbers import interval_of_mean
from pipeline.evaluation.temperature import fitted_temperature, sigmoid_loss, softmax_loss
from pipeline.evaluation.thresholds import Thresholds, by_rule, chosen_thresholds

BALANCED, COSTS = "balanced", "costs"
"""Rules that are not of one label's curve: the first chooses nothing, it needs the classes' shares alone."""
TINY = 1e-37
ROUNDED = 2.0**-24
"""A probability in float32 that is nearer to 1 is 1."""


def logits_of(probabilities: NDArray[Any], task: str) -> Floats:
    """Logits (N, C) that give these probabilities: of exclusive classes any constant may be added to them."""
    p = probabilities.astype(np.float64)
    if task != "multi":
        return np.log(np.maximum(p, TINY))
    p = np.clip(p, ROUNDED, 1 - ROUNDED)
    return np.log(p) - np.log1p(-p)


def temperature_of(labels: NDArray[Any], probabilities: NDArray[Any], task: str) -> float:
    """By which the logits of validation samples are divided for the smallest loss."""
    loss = sigmoid_loss if task == "multi" else softmax_loss
    return fitted_temperature(loss(logits_of(probabilities, task), labels.astype(np.float64)))


def at_temperature(probabilities: NDArray[Any], task: str, temperature: float) -> tuple[NDArray[np.float32], Floats]:
    """Probabilities (N, C) of logits that are divided by a temperature, and those logits."""
    z = logits_of(probabilities, task) / temperature
    if task == "multi":
        return (1 / (1 + np.exp(-z))).astype(np.float32), z
    z -= z.max(axis=1, keepdims=True)
    p = np.exp(z)
    return (p / p.sum(axis=1, keepdims=True)).astype(np.float32), z


def loss_of(labels: NDArray[Any], logits: Floats, task: str) -> float:
    """Mean cross-entropy in nats, of several labels their mean."""
    return (sigmoid_loss if task == "multi" else softmax_loss)(logits, labels.astype(np.float64))(1.0)


@dataclass(frozen=True)
class Decision:
    """How answers are taken from probabilities (N, C): what is chosen in it is chosen on validation samples."""

    task: str
    thresholds: Thresholds | None = None
    """Of each label, or of the second of two classes; None: one half, or the most probable class."""
    shares: Floats | None = None
    """(C,) of the training split, where answers are as if all classes were equally frequent."""
    least_confidence: float | None = None
    """Of many classes: a less probable one is left open; None: none is."""

    def predictions(self, probabilities: NDArray[Any]) -> Ints:
        """Classes (N,) or labels (N, C) of 0 and 1: also of answers that are left open, what they would be."""
        if self.shares is None:
            return predicted_labels(probabilities, self.task, self.thresholds.values if self.thresholds else None)
        if self.task == "multi":
            return predicted_labels(probabilities, self.task, self.shares)
        return predicted_labels(probabilities / self.shares, self.task)

    def left_open(self, probabilities: NDArray[Any]) -> Mask | None:
        """Which answers (N,) or (N, C) are not given; None: no answer may be left open."""
        p = probabilities.astype(np.float64)
        if self.least_confidence is not None:
            return np.asarray(p.max(axis=1) <= self.least_confidence)
        ends = [(cut.open_above, cut.open_to) for cut in self.thresholds.cuts] if self.thresholds else []
        if not ends or None in ends[0]:
            return None
        low, high = np.array(ends, np.float64).T
        found: Mask = (p[:, -len(low) :] > low) & (p[:, -len(low) :] <= high)
        return found if self.task == "multi" else found[:, 0]


def decided_by(
    rule: str | None,
    costs: Costs,
    labels: NDArray[Any],
    probabilities: NDArray[Any] | None,
    task: str,
    shares: Floats,
) -> Decision:
    """By a rule of `evaluate.threshold`, on validation samples: labels, probabilities (N, C); None: there are none.

    shares: of each class in training.
    """
    if rule == BALANCED:
        return Decision(task, shares=shares)
    if rule is None or probabilities is None:
        return Decision(task)
    p = probabilities.astype(np.float64)
    if task == "single" and p.shape[1] > 2:
        return Decision(task, least_confidence=costs.least_confidence(p.max(axis=1), p.argmax(axis=1) == labels))
    cut_of = costs.cut if rule == COSTS else by_rule(rule)
    if task == "multi":
        return Decision(task, chosen_thresholds(labels, p, cut_of))
    return Decision(task, chosen_thresholds(labels[:, None] == 1, p[:, 1:], cut_of))


def priced(costs: Costs, labels: NDArray[Any], probabilities: NDArray[Any], decision: Decision) -> dict[str, float | None]:
    """What the answers to test samples cost, with the interval of the mean, and what simpler ones would."""
    predictions, left_open = decision.predictions(probabilities), decision.left_open(probabilities)
    mean = interval_of_mean(costs.of_samples(labels, predictions, left_open))
    likelier = costs.of_samples(labels, predicted_labels(probabilities, decision.task), None)
    found = {
        "cost": mean.value,
        "cost_low": mean.low,
        "cost_high": mean.high,
        "likelier_cost": float(likelier.mean()),
        "constant_cost": costs.of_constants(labels, probabilities.shape[1]),
    }
    if left_open is None:
        return found
    wrong = (predictions != labels)[~left_open]
    risk = float(wrong.mean()) if wrong.size else None
    return found | {"abstained": float(left_open.mean()), "risk": risk}
