"""What is asked of a network's outputs: the loss that suits a task, how many it takes, and on which scale numbers are.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLING = "sampling"
"""Of `train.balance`: each class is drawn as often as the others."""
SOFTMAX, SIGMOID, SQUARED, HUBER = "softmax", "sigmoid", "squared", "huber"
OF_NUMBERS = (SQUARED, HUBER)


def chosen_loss(loss: str, task: str, num_classes: int) -> str:
    """auto: squared for numbers, sigmoid for two classes (as one logit) and for several labels, softmax for one of many."""
    if loss != "auto":
        return loss
    if task == "number":
        return SQUARED
    return SIGMOID if task == "multi" or num_classes == 2 else SOFTMAX


def num_outputs(loss: str, task: str, num_answers: int) -> int:
    """Of a network: one for two exclusive classes under the sigmoid loss, else one per answer (a class, or a number)."""
    return 1 if loss == SIGMOID and task == "single" else num_answers


@dataclass(frozen=True)
class Scale:
    """On which numbers are trained: less their mean, over their deviation, both of the training split alone."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, fit: Mapping[str, Sequence[float]]) -> Scale | None:
        """From what the manifest or model.json holds; None where classes are predicted."""
        return cls(tuple(fit["mean"]), tuple(fit["std"])) if fit else None

    @property
    def unit(self) -> float:
        """What an error of 1 on this scale is in the data's own unit; of several numbers, whose units differ, it stays 1."""
        return self.std[0] if len(self.std) == 1 else 1.0

    def standardised(self, numbers: NDArray[Any]) -> NDArray[np.float32]:
        """Numbers (N,) or (N, T) in the data's own units to (N, T)."""
        columns = np.asarray(numbers, np.float64).reshape(len(numbers), len(self.mean))
        return ((columns - self.mean) / self.std).astype(np.float32)

    def in_units(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        """A network's outputs (N, T) as numbers (N, T) in the data's own units."""
        numbers: NDArray[np.float64] = outputs.astype(np.float64) * self.std + self.mean
        return numbers
