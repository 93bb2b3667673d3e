"""How well classes are told apart, whatever the threshold, and how right the surest answers are: of the written predictions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipeline.evaluation import classes as ev
from pipeline.evaluation.curves import Area, Curve, apart, average_precision, curve_of, roc_area
from pipeline.evaluation.thresholds import risk_area, risk_coverage
from pipeline.report.material import Predictions

SHOWN = 3
"""Classes whose curves are drawn, the weakest: more hide each other."""
SURE = (0.5, 0.8, 0.9, 0.95, 1.0)
"""Shares of the surest samples that are told in numbers."""


@dataclass(frozen=True)
class Answers:
    """What the answers that were given make of a class, a point beside its curves."""

    false_rate: float
    recall: float
    precision: float | None
    """None where the class was never answered."""


@dataclass(frozen=True)
class Separation:
    """Of a class against the rest."""

    name: str
    num: int
    """Test samples of it."""
    curve: Curve
    roc: Area
    precision: Area
    answers: Answers


@lru_cache(maxsize=1)  # of tables and of figures
def separations(predictions: Predictions) -> list[Separation]:
    """Of each class of which test samples are there, and others too: the weakest by average precision first."""
    found = []
    for i, name, truth, scores in apart(predictions.labels, predictions.probabilities, predictions.classes):
        curve, roc, precision = curve_of(truth, scores), roc_area(truth, scores), average_precision(truth, scores)
        if curve and roc and precision:
            said = predictions.predictions
            given = said[:, i] == 1 if said.ndim == 2 else said == i
            found.append(Separation(name, int(truth.sum()), curve, roc, precision, _answers(truth, given)))
    return sorted(found, key=lambda each: each.precision.value)


def _answers(truth: ev.Mask, given: ev.Mask) -> Answers:
    right = float((truth & given).mean())
    precision = right / float(given.mean()) if given.any() else None
    return Answers(float((~truth & given).sum() / (~truth).sum()), right / float(truth.mean()), precision)


@dataclass(frozen=True)
class Risk:
    """What is wrong of the surest samples: of several labels, in any of them."""

    coverage: ev.Floats
    """(P,) shares of the samples, the surest first."""
    risk: ev.Floats
    """(P,) which share of these is wrong."""
    area: float
    given: tuple[float, float] | None
    """Coverage and risk of the samples of which no answer is left open; None: that is all, or none."""


@lru_cache(maxsize=1)
def risk_of(predictions: Predictions) -> Risk:
    """Of the written predictions."""
    confidence, right = _sure_and_right(predictions)
    coverage, risk = risk_coverage(confidence, right)
    return Risk(coverage, risk, risk_area(coverage, risk), _given(predictions.abstained, right))


def _given(abstained: ev.Mask, right: ev.Mask) -> tuple[float, float] | None:
    kept = ~(abstained.any(axis=1) if abstained.ndim == 2 else abstained)
    return (float(kept.mean()), 1 - float(right[kept].mean())) if kept.any() and not kept.all() else None


@dataclass(frozen=True)
class Surest:
    """The surest samples, at least a share of SURE: more where equally sure ones follow."""

    coverage: float
    right: float
    confidence: float
    """Of the least sure one."""


def surest_table(predictions: Predictions) -> list[Surest]:
    """Each once, though shares may end among equally sure samples."""
    found = risk_of(predictions)
    coverage, right = found.coverage, 1 - found.risk
    confidence = np.sort(_sure_and_right(predictions)[0])[::-1]
    places = np.unique(np.searchsorted(coverage, np.array(SURE) - 1e-9))
    last = np.round(coverage[places] * len(confidence)).astype(np.int64) - 1
    rows = zip(coverage[places], right[places], confidence[last], strict=True)
    return [Surest(*map(float, row)) for row in rows]


def _sure_and_right(predictions: Predictions) -> tuple[ev.Floats, ev.Mask]:
    confidence = ev.sample_confidence(predictions.probabilities, predictions.predictions)
    right: ev.Mask = ev.sample_accuracy(predictions.labels, predictions.predictions) == 1
    return confidence, right
