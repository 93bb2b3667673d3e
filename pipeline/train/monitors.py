"""What the best epoch may be chosen by: computed of all validation answers at the end of an epoch, on one worker or several.

Each is what `evaluate` has of that name on test samples, with answers by what is likelier.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation import classes as ev
from pipeline.evaluation.curves import apart, average_precision, roc_area
from pipeline.metrics import MEASURES, in_row

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.data.dataset import Manifest, Task
    from pipeline.train.program import Program


@dataclass(frozen=True)
class Answers:
    """Of one run, to N validation samples."""

    labels: NDArray[Any]
    """Classes (N,), labels (N, C) of 0 and 1, or numbers (N, T), several of them in deviations."""
    predictions: NDArray[Any]
    """Likewise."""
    probabilities: NDArray[np.float32]
    """(N, C); of numbers none."""


def _macro_f1(answers: Answers) -> float:
    return ev.macro_f1(_scores(answers))


def _balanced_accuracy(answers: Answers) -> float:
    return ev.balanced_accuracy(_scores(answers))


def _scores(answers: Answers) -> ev.ClassScores:
    return ev.class_scores(answers.labels, answers.predictions, answers.probabilities.shape[1])


def _exact_match(answers: Answers) -> float:
    return ev.exact_match(answers.labels, answers.predictions)


def _micro_f1(answers: Answers) -> float:
    return ev.micro_f1(answers.labels, answers.predictions)


def _roc_area(answers: Answers) -> float:
    return _mean_area(answers, roc_area)


def _average_precision(answers: Answers) -> float:
    return _mean_area(answers, average_precision)


def _mean_area(answers: Answers, area: Any) -> float:
    """Over the classes that occur beside others, as `evaluate` takes it."""
    names = [""] * answers.probabilities.shape[1]
    found = [area(truth, scores) for _, _, truth, scores in apart(answers.labels, answers.probabilities, names)]
    return float(np.mean([each.value for each in found if each]))


def _rmse(answers: Answers) -> float:
    return float(np.sqrt(((answers.labels - answers.predictions) ** 2).mean()))


AREAS = {"roc_area": _roc_area, "average_precision": _average_precision}
MONITORS: dict[str, dict[str, Callable[[Answers], float]]] = {
    "single": {"macro_f1": _macro_f1, "balanced_accuracy": _balanced_accuracy, **AREAS},
    "multi": {"macro_f1": _macro_f1, "micro_f1": _micro_f1, "exact_match": _exact_match, **AREAS},
    "number": {"rmse": _rmse},
}
"""By a dataset's task, beside the loss and the measure that every epoch counts."""
NOT_HERE = {
    "calibration_error": "it says how far confidence may be trusted, and is 0 for guessing",
    "mean_confidence": "neither side of it is better",
    "cost": "it depends on thresholds, which are chosen once, for the kept weights",
    "risk": "it depends on thresholds, which are chosen once, for the kept weights",
    "mean_average_precision": "say val_average_precision, which is the mean over the classes",
    "mean_roc_area": "say val_roc_area, which is the mean over the classes",
    "r2": "of one number it ranks epochs as val_rmse does",
}
"""Metrics of `evaluate` that no epoch is chosen by."""


def refused(monitor: str, task: Task) -> str | None:
    """Why no best epoch can be chosen so where this is predicted; None: it can."""
    own = ("loss", MEASURES[task], *MONITORS[task])
    name = in_row(monitor)
    if name in own and monitor.startswith("val_"):
        return None
    reason = f"; {NOT_HERE[name]}" if name in NOT_HERE else ""
    return f"of this data an epoch gives {_listed([f'val_{each}' for each in own])}{reason}"


def tells_apart(monitor: str, manifest: Manifest) -> bool:
    """Whether the validation split has what a ranking needs: a class with samples there, and others beside it."""
    num = manifest.counts["val"]
    return in_row(monitor) not in AREAS or any(0 < count < num for count in manifest.class_counts["val"])


def monitored(name: str, program: Program, logits: Tensor, labels: NDArray[Any]) -> float:
    """A metric of one run's logits (N, outputs) of the data as they are. labels: as the program trains them."""
    return MONITORS[program.task][name](_answers(program, logits, labels))


def _answers(program: Program, logits: Tensor, labels: NDArray[Any]) -> Answers:
    from pipeline.model.losses import probabilities
    from pipeline.model.objective import SOFTMAX

    if program.task == "number":
        unit = program.scale.unit if program.scale else 1.0
        none = np.zeros((len(labels), 0), np.float32)
        return Answers(labels.astype(np.float64) * unit, logits.double().numpy() * unit, none)
    z = logits.numpy()
    said = z.argmax(-1) if program.loss == SOFTMAX else (z > 0).astype(np.int64).reshape(labels.shape)
    return Answers(labels.astype(np.int64), said, probabilities(program.loss, program.task, logits).numpy())


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
