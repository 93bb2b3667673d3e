"""What the worst answers to the test split came from, written beside its tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import Dataset, Manifest
from pipeline.evaluation.answers import Answers
from pipeline.evaluation.mistakes import largest_errors, surest_mistakes
from pipeline.explanation.asked import Asked
from pipeline.explanation.parts import explained
from pipeline.explanation.permutation import importances
from pipeline.explanation.record import Answer, write_explanations, write_importance
from pipeline.kinds.occlusion import Occlusion, part_names

if TYPE_CHECKING:
    from pipeline.model.predictor import Predictor


def explain(
    folder: Path,
    occlusion: Occlusion,
    predictor: Predictor,
    dataset: Dataset,
    given: NDArray[Any],
    answering: Answers | None,
    num: int,
    batch_size: int,
) -> None:
    """Write what the worst mistakes came from and, of columns, how much answers depend on each.

    given: the network's probabilities (N, classes) of the test samples, or numbers. num: of mistakes.
    """
    test, temperature = dataset.split("test"), answering.temperature if answering else None
    asked = Asked(predictor, temperature, batch_size)
    worst = _worst_answers(dataset.manifest, np.asarray(test.labels), given, answering, num)
    found = explained(asked, occlusion, test, dataset.split("train"), worst)
    write_explanations(folder, found)
    names = part_names(occlusion, dataset.manifest.fit)
    if names and test.rows is None and test.offsets is None:
        decision = answering.decision if answering else None
        write_importance(folder, importances(asked, decision, occlusion, names, test))


def _worst_answers(
    manifest: Manifest,
    labels: NDArray[Any],
    given: NDArray[Any],
    answering: Answers | None,
    num: int,
) -> list[Answer]:
    """The surest wrong answers, one per sample; of numbers those that are furthest off."""
    if answering is None:
        actual = labels.reshape(given.shape)
        worst, yes = largest_errors(actual, given, manifest.target_fit["std"], num), given > actual
    else:
        predictions = answering.predictions(given)
        worst = surest_mistakes(labels, predictions, answering.probabilities(given), num)
        yes = predictions == 1 if predictions.ndim == 2 else np.ones_like(given, bool)
    pairs = zip(worst.samples.tolist(), worst.of.tolist(), strict=True)
    return [Answer(sample, of, bool(yes[sample, of])) for sample, of in pairs]
