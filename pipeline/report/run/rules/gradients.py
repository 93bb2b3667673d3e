"""Whether gradients reach the first layer."""

from __future__ import annotations

import numpy as np

from pipeline.report.run.records import Curves, Records
from pipeline.report.run.rules import remedies
from pipeline.report.run.rules.finding import Finding
from pipeline.report.words import number

GRADIENT_WEAK, GRADIENT_VANISHES, GRADIENT_EXPLODES = 0.1, 0.03, 100.0
"""Gradient norm of the first layer, as a share of that of the last."""


def gradients(records: Records) -> list[Finding]:
    """Whether gradients reach the first layer; nothing to say of a single layer."""
    curves = records.curves
    if len(curves.layers) < 2:
        return []
    ratio, first, last = gradient_ratio(curves), curves.layers[0], curves.layers[-1]
    detail = (
        f"In the median epoch the gradient of the first layer ({first}) is {number(ratio)} times that of the last ({last})."
    )
    if ratio > GRADIENT_EXPLODES:
        steps = remedies.chosen(records, remedies.bounded(records))
        return [Finding("exploding", "warn", "Gradients explode", detail, steps)]
    steps = remedies.chosen(records, remedies.flowing(records))
    if ratio < GRADIENT_VANISHES:
        return [Finding("gradients", "warn", "Gradients vanish", detail, steps)]
    if ratio < GRADIENT_WEAK:
        return [Finding("gradients", "note", "Gradients fade", detail, steps)]
    return [Finding("gradients", "good", "Gradients reach every layer", detail)]


def gradient_ratio(curves: Curves) -> float:
    """Median over epochs of the first layer's gradient norm, divided by the last layer's."""
    first, last = curves.layer_norms[:, 0], curves.layer_norms[:, -1]
    ratios = np.divide(first, last, out=np.ones(len(first)), where=last > 0)
    return float(np.nanmedian(ratios))
