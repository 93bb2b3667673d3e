"""Answers to the samples of a split of the dataset."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import Split
from pipeline.errors import NumericsError

if TYPE_CHECKING:
    from pipeline.model.predictor import Predictor


def predict(predictor: Predictor, split: Split, batch_size: int) -> tuple[NDArray[Any], float]:
    """Probabilities (N, classes) or numbers (N, targets) in stored order, and the mean loss; every sample once, by all of its
    rows.
    """
    import torch

    from pipeline.data.batches import Inputs, judged_batches

    of_numbers = predictor.task == "number"
    width, dtype = (len(predictor.targets), np.float64) if of_numbers else (len(predictor.classes), np.float32)
    answers = np.full((len(split), width), np.nan, dtype)
    losses = np.full(len(split), np.nan)
    inputs = Inputs([split.stored], torch.device("cpu"), resident=False)
    for batch in judged_batches(split, batch_size):
        labels = torch.from_numpy(np.array(split.labels[batch.samples]))
        logits = predictor.sample_logits(inputs.take(batch.rows), batch.num_rows)
        answers[batch.samples] = (predictor.numbers if of_numbers else predictor.probabilities)(logits).cpu().numpy()
        losses[batch.samples] = predictor.losses(logits, labels).cpu().numpy()
    broken = ~np.isfinite(losses) | ~np.isfinite(answers).all(axis=1)
    if broken.any():
        raise NumericsError(
            f"{int(broken.sum())} of {len(split)} test samples give no finite loss; train with a smaller train.learning_rate"
        )
    return answers, float(math.fsum(losses) / len(losses))
