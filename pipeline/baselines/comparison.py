"""Scores of samples, and which of two answers is better by the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEVEL, CONFIDENCE = 0.05, 0.95
RESAMPLES, MOST_DRAWN = (199, 9999), 2e7
"""Of the bootstrap; and numbers that are drawn for it in all."""


def measure_of(task: str) -> str:
    """What the mean of scores is called: its name in `metrics.json`."""
    return "mae" if task == "number" else "accuracy"


def units_of(train: NDArray[Any], task: str) -> Floats:
    """What an error of each number counts in: of one number its own unit, of several their deviations in training."""
    several = task == "number" and train.ndim == 2 and train.shape[1] > 1
    return np.maximum(train.std(0, dtype=np.float64), 1e-12) if several else np.ones(1)


def scored(labels: NDArray[Any], answers: NDArray[Any], task: str, units: Floats) -> Floats:
    """A score (N,) of each sample, more being better: whether it is right, the share of its labels that are, or, of numbers,
    the negative of its error, the mean over several."""
    if task == "number":
        errors = np.abs(labels - answers) / units
        return np.asarray(-errors.reshape(len(labels), -1).mean(1), np.float64)
    right = (labels == answers).astype(np.float64)
    return np.asarray(right.reshape(len(labels), -1).mean(1), np.float64)


def trivial_answer(train: NDArray[Any], task: str, classes: Sequence[str]) -> tuple[Any, str]:
    """What training samples are most often, or in the middle (the least absolute error), and that in words."""
    if task == "number":
        return np.median(train, axis=0), "always the median of the training samples"
    if task == "multi":
        return (train.mean(0) > 0.5).astype(np.int64), "always what is more frequent in training, label by label"
    frequent = int(np.bincount(train).argmax())
    return frequent, f"always {classes[frequent]!r}, the most frequent class of the training samples"


def compared(network: Floats, baseline: Floats, task: str) -> dict[str, Any]:
    """Which is better by scores (N,) of the same samples: both means, their difference with its interval of 95 %, who wins.

    The interval is that of the paired bootstrap over samples (Efron 1979). Of one label McNemar's exact test (1947) decides,
    else whether the interval leaves out 0. Numbers are those of the measure: of errors less is better.
    """
    differences, side = network - baseline, -1 if task == "number" else 1
    low, high = sorted(side * end for end in paired_interval(differences))
    p = mcnemar(int((differences > 0).sum()), int((differences < 0).sum())) if task == "single" else None
    apart = (low > 0 or high < 0) if p is None else p < LEVEL
    mean = float(differences.mean())
    return {
        "score": side * float(baseline.mean()),
        "network_score": side * float(network.mean()),
        "difference": side * mean,
        "difference_low": low,
        "difference_high": high,
        "p": p,
        "better": "neither" if not apart else "network" if mean > 0 else "baseline",
    }


def mcnemar(one: int, other: int) -> float:
    """Two-sided exact p of no difference, from how many samples each alone has right."""
    from scipy import special

    num = one + other
    return min(1.0, 2 * float(special.bdtr(min(one, other), num, 0.5))) if num else 1.0


def paired_interval(differences: Floats) -> tuple[float, float]:
    """Percentile interval of a mean over samples; the same for the same differences."""
    values, counts = np.unique(differences, return_counts=True)
    if len(values) == 1:
        return float(values[0]), float(values[0])
    num, random = len(differences), np.random.default_rng(0)
    resamples = int(np.clip(MOST_DRAWN / len(values), *RESAMPLES))
    at_once = max(1, 1_000_000 // len(values))
    parts = [min(at_once, resamples - start) for start in range(0, resamples, at_once)]
    means = np.concatenate([random.multinomial(num, counts / num, part) @ values / num for part in parts])
    low, high = np.quantile(means, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    return float(low), float(high)
