"""Which of N test samples went wrong the worst way: pure functions of labels and answers (numpy alone)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.classes import Floats, Ints, decision_confidence


class Mistakes(NamedTuple):
    """Some samples, the worst first."""

    samples: Ints
    """(n,) their places in the split."""
    of: Ints
    """(n,) the class that was answered; of several labels, or numbers, the one that is worst."""
    size: Floats
    """(n,) how sure the network was; of numbers how many deviations of the training split it is off."""


def surest_mistakes(labels: NDArray[Any], predictions: Ints, probabilities: NDArray[Any], num: int) -> Mistakes:
    """The wrong decisions of the highest confidence, one per sample."""
    confidence, wrong = decision_confidence(probabilities, predictions), labels != predictions
    of = predictions
    if wrong.ndim == 2:
        of = np.where(wrong, confidence, -1.0).argmax(axis=1)
        confidence = np.take_along_axis(confidence, of[:, None], axis=1)[:, 0]
        wrong = wrong.any(axis=1)
    rows = np.flatnonzero(wrong)
    rows = rows[np.lexsort((rows, -confidence[rows]))][:num]
    return Mistakes(rows, of[rows], confidence[rows])


def largest_errors(actual: Floats, predicted: Floats, std: Sequence[float], num: int) -> Mistakes:
    """The samples with a number (N, T) that is most deviations of the training split off."""
    off = np.abs(predicted - actual) / np.array(std)
    size = off.max(axis=1)
    rows = np.lexsort((np.arange(len(size)), -size))[:num]
    return Mistakes(rows, off.argmax(axis=1)[rows], size[rows])
