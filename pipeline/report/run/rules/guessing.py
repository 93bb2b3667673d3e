"""What a network that knows nothing of the inputs reaches, and whether one does better than that."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import Manifest
from pipeline.evaluation.classes import wilson_interval
from pipeline.report.run.records import ClassCounts, Evaluation, Records
from pipeline.report.words import interval, percent, plural

TINY = 1e-12
CHANCE = 0.025
"""Probability below which agreement with labels is no chance: one side of 5 %, over all classes."""


def accuracy_range(test: Evaluation) -> tuple[float, float]:
    """Wilson's 95 % interval of the test accuracy."""
    return _range(test.accuracy, test.num_samples)


def _range(accuracy: float, num: int) -> tuple[float, float]:
    return wilson_interval(accuracy * num, num)


def loss_of_guessing(records: Records, split: str = "val") -> float:
    """Of the answer that knows only the training labels: class frequencies, or the mean of numbers (on validation samples)."""
    return guessing_loss(records.manifest, split) if records.constant_loss is None else max(records.constant_loss, TINY)


def guessing_loss(manifest: Manifest, split: str = "val") -> float:
    """Cross-entropy in nats, on a split's samples, of always answering the training split's class frequencies.

    Of few samples of a rare class one split may hold more than another. A mean over the labels where a sample may have several.
    """
    multi = manifest.task == "multi"
    answer, truth = (_frequencies(manifest, name, multi) for name in ("train", split))
    least = 0.5 / manifest.counts["train"]  # of a class that training does not have
    losses = -(truth * np.log(np.maximum(answer, least)))
    return max(float(losses.sum(axis=0).mean() if multi else losses.sum()), TINY)


def _frequencies(manifest: Manifest, split: str, multi: bool) -> NDArray[np.float64]:
    """Of the classes (C,), or of having each label and not having it (2, C)."""
    shares = np.array(manifest.class_counts[split], dtype=np.float64) / manifest.counts[split]
    return np.stack([shares, 1 - shares]) if multi else shares


def guessing_accuracy(manifest: Manifest, split: str = "test") -> float:
    """The highest accuracy on a split of always giving one answer; label by label if several.

    The split's own most frequent class: one that is frequent in training may be rare here, and easy to beat.
    """
    share = np.array(manifest.class_counts[split], dtype=np.float64) / manifest.counts[split]
    return float(np.maximum(share, 1 - share).mean() if manifest.task == "multi" else share.max())


@dataclass(frozen=True)
class Against:
    """An accuracy against that of guessing."""

    better: bool
    """Whether the whole interval lies above it."""
    detail: str


def against_chance(manifest: Manifest, split: str, accuracy: float, num: int) -> Against:
    """Whether an accuracy on a split is more than guessing reaches there."""
    chance, (low, high) = guessing_accuracy(manifest, split), _range(accuracy, num)
    multi = manifest.task == "multi"
    guess = "what is most frequent there, label by label," if multi else "the class that is most frequent there"
    name = {"test": "Test", "val": "Validation"}[split]
    detail = (
        f"{name} accuracy is {percent(accuracy)} (95% interval {interval(low, high)}, "
        f"{plural(num, 'sample')}). Always answering {guess} would be right on {percent(chance)}."
    )
    return Against(low > chance, detail)


def tells_apart(counts: ClassCounts, num: int) -> bool:
    """Whether some class is answered for its own samples more often than blindly (Fisher's exact test).

    Accuracy does not show it where one class holds nearly all samples. Bonferroni's bound is over the classes.
    """
    rows = zip(counts.actual, counts.predicted, counts.right, strict=True)
    smallest = min(hits_by_chance(num, int(a), int(p), int(r)) for a, p, r in rows)
    return smallest * len(counts.actual) < CHANCE


def hits_by_chance(num: int, actual: int, predicted: int, right: int) -> float:
    """Probability of so many hits or more where `predicted` of `num` samples are named blindly.

    actual: how many of them are of the class.
    """
    most = min(actual, predicted)
    first = max(right, actual + predicted - num)
    whole = _log_choose(num, predicted)
    terms = (_log_choose(actual, hits) + _log_choose(num - actual, predicted - hits) - whole for hits in range(first, most + 1))
    return min(1.0, math.fsum(math.exp(term) for term in terms))


def _log_choose(num: int, taken: int) -> float:
    return math.lgamma(num + 1) - math.lgamma(taken + 1) - math.lgamma(num - taken + 1)
