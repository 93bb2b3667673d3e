"""A network that is asked many times, as `predict` asks it: of classes log probabilities, of numbers the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.evaluation.classes import Floats
from pipeline.kinds.ragged import Ragged
from pipeline.model.objective import SOFTMAX
from pipeline.model.predictor import Predictor


@dataclass(frozen=True)
class Asked:
    """Who answers, and how."""

    predictor: Predictor
    temperature: float | None
    """By which logits are divided; None: by nothing."""
    batch_size: int

    def logits(self, rows: Sequence[NDArray[Any]] | NDArray[Any]) -> Tensor:
        """(R, outputs) of rows as stored, each by itself; so many at once."""
        starts = range(0, len(rows), self.batch_size)
        parts = [self._batch(rows[at : at + self.batch_size]) for at in starts]
        return torch.cat([self.predictor.sample_logits(part, None) for part in parts])

    def _batch(self, rows: Sequence[NDArray[Any]] | NDArray[Any]) -> Tensor | Ragged:
        if self.predictor.ragged:
            return Ragged.of([torch.from_numpy(row.copy()) for row in rows])
        return torch.from_numpy(np.array(rows))

    def numbers(self, logits: Tensor) -> Floats:
        """(n, targets) in the data's own units."""
        return self.predictor.numbers(logits).numpy()

    def chances(self, logits: Tensor) -> tuple[Floats, Floats]:
        """Logarithms (n, classes) of each class's probability and of its contrary's, at the temperature."""
        z = logits.numpy(force=True).astype(np.float64) / (self.temperature or 1.0)
        if self.predictor.loss != SOFTMAX:
            z = np.concatenate([-z, z], axis=1) if self.predictor.task == "single" else z
            return -np.logaddexp(0, -z), -np.logaddexp(0, z)
        yes = z - np.logaddexp.reduce(z, axis=1, keepdims=True)
        top = yes.argmax(axis=1)[:, None]
        others = yes.copy()
        np.put_along_axis(others, top, -np.inf, axis=1)
        no = np.log1p(-np.exp(others))
        # Of a class that is nearly certain 1 - p would be rounded to 0.
        np.put_along_axis(no, top, np.logaddexp.reduce(others, axis=1, keepdims=True), axis=1)
        return yes, no
