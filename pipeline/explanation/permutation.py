"""How much answers depend on each column: what they lose where its values are those of other samples (Breiman 2001).

The interval is over samples, each with its mean over the repeats: one over repeats alone says how much shuffling matters, not
how much other samples would, and calls columns important that are noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.data.dataset import Split
from pipeline.evaluation.classes import Floats, sample_accuracy
from pipeline.evaluation.decisions import Decision
from pipeline.evaluation.numbers import interval_of_difference
from pipeline.explanation.asked import Asked
from pipeline.explanation.record import Importance
from pipeline.kinds.occlusion import Occlusion

REPEATS = 5
MOST_ROWS = 2**17
"""That go through the network for all columns: of many columns fewer samples are looked at."""
FEWEST = 100
"""Samples, with however many columns."""


def importances(
    asked: Asked, decision: Decision | None, occlusion: Occlusion, names: Sequence[str], split: Split
) -> list[Importance]:
    """Of each column by its name, over samples of a split that each own one row. decision: how classes are answered."""
    num = min(len(split), max(FEWEST, MOST_ROWS // (REPEATS * len(names))))
    rows, ids = np.array(split.inputs[:num]), np.asarray(split.ids[:num])
    labels, fit = np.asarray(split.labels[:num]), asked.predictor.fit
    order = np.concatenate([keyed.permuted(ids, repeat) for repeat in range(REPEATS)])
    repeated, others, known = np.concatenate([rows] * REPEATS), rows[order], np.concatenate([labels] * REPEATS)
    own, found = _costs(asked, decision, rows, labels), []
    for part, name in enumerate(names):
        costs = _costs(asked, decision, occlusion.hidden(repeated, part, fit, others), known)
        found.append(_importance(name, costs.reshape(REPEATS, num, -1).mean(axis=0) - own))
    return found


def _importance(name: str, worse: Floats) -> Importance:
    """worse (N, 1 or 2): the cost of each sample, and whether it is wrong."""
    scores = [interval_of_difference(column) for column in worse.T]
    numbers = [value for score in scores for value in (score.value, score.low, score.high)]
    padded: list[Any] = [*numbers, *[None] * (6 - len(numbers))]
    return Importance(name, len(worse), REPEATS, *padded)


def _costs(asked: Asked, decision: Decision | None, rows: NDArray[Any], labels: NDArray[Any]) -> Floats:
    """(N, 2) of each sample the loss and the share of its labels that are wrong; of numbers (N, 1) the
    absolute error, of several in deviations of the training split.
    """
    logits, scale = asked.logits(rows), asked.predictor.scale
    if scale:
        numbers, units = asked.numbers(logits), scale.std if len(scale.std) > 1 else 1.0
        errors = np.abs(numbers - labels.reshape(numbers.shape)) / np.array(units)
        return np.asarray(errors.mean(axis=1, keepdims=True))
    assert decision, "of classes"
    yes, no = asked.chances(logits)
    wrong = 1 - sample_accuracy(labels, decision.predictions(np.exp(yes).astype(np.float32)))
    return np.stack([_losses(labels, yes, no), wrong], axis=1)


def _losses(labels: NDArray[Any], yes: Floats, no: Floats) -> Floats:
    """(N,) in nats, of several labels their mean."""
    if labels.ndim == 2:
        return np.asarray(-np.where(labels == 1, yes, no).mean(axis=1))
    return np.asarray(-np.take_along_axis(yes, labels[:, None], axis=1)[:, 0])
