"""Temperature scaling (Guo et al. 2017): one number that logits are divided by, so that confidence is worth what it says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.evaluation.classes import Floats

LOWEST, HIGHEST, STEPS = 0.05, 20.0, 60


def fitted_temperature(loss: Callable[[float], float]) -> float:
    """The temperature of the smallest loss, a function with one valley over the logarithm: by golden section."""
    low, high = np.log(LOWEST), np.log(HIGHEST)
    ratio = (5**0.5 - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    at_a, at_b = (loss(float(np.exp(place))) for place in (a, b))
    for _ in range(STEPS):
        if at_a <= at_b:
            high, b, at_b = b, a, at_a
            a = high - ratio * (high - low)
            at_a = loss(float(np.exp(a)))
        else:
            low, a, at_a = a, b, at_b
            b = low + ratio * (high - low)
            at_b = loss(float(np.exp(b)))
    return float(np.exp((low + high) / 2))


def softmax_loss(logits: Floats, labels: Floats) -> Callable[[float], float]:
    """Mean cross-entropy of logits (N, C) over a temperature; labels (N,) class numbers."""

    def loss(temperature: float) -> float:
        z = logits / temperature
        z = z - z.max(axis=1, keepdims=True)
        own = z[np.arange(len(z)), labels.astype(np.int64)]
        return float((np.log(np.exp(z).sum(axis=1)) - own).mean())

    return loss


def sigmoid_loss(logits: Floats, labels: Floats) -> Callable[[float], float]:
    """Mean binary cross-entropy of logits (N, C) over a temperature; labels (N, C) of 0 and 1."""

    def loss(temperature: float) -> float:
        z = logits / temperature
        return float((np.logaddexp(0.0, z) - labels * z).mean())

    return loss
