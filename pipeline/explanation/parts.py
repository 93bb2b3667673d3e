"""What the answer to one sample came from: how far it falls where a part is hidden (Zeiler and Fergus 2014).

An answer's scale is that of log odds, log p / (1 - p), on which a sure answer can fall as well; of numbers the number's own.
Where a part is filled in from several training rows, the answer without it is the mean over them (prediction difference:
Robnik-Sikonja and Kononenko 2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data.dataset import Split, Stored
from pipeline.errors import ConfigError
from pipeline.evaluation.classes import Floats
from pipeline.explanation.asked import Asked
from pipeline.explanation.record import Answer, Explained
from pipeline.kinds.kind import Fit
from pipeline.kinds.occlusion import Occlusion
from pipeline.model.losses import joined
from pipeline.model.predictor import Predictor

MOST_COPIES = 512
"""Of a sample whose parts are filled in from several rows."""


def explained(asked: Asked, occlusion: Occlusion, split: Split, training: Split, answers: Sequence[Answer]) -> list[Explained]:
    """Each of the answers whose sample has parts that can be hidden."""
    others = spread_rows(training.stored, occlusion.DRAWS)
    found = [_explained(asked, occlusion, split, others, answer) for answer in answers]
    return [one for one in found if one is not None]


def spread_rows(stored: Stored, num: int) -> list[NDArray[Any]]:
    """So many rows from all over a split, whose order is random by its samples' ids."""
    places = np.unique(np.linspace(0, len(stored) - 1, num).astype(np.int64))
    return stored.taken(places).each()


def _explained(
    asked: Asked, occlusion: Occlusion, split: Split, others: list[NDArray[Any]], answer: Answer
) -> Explained | None:
    fit, own = asked.predictor.fit, split.taken(np.array([answer.sample]))
    rows = own.stored.each()
    logits = asked.logits(rows)
    place = _speaker(asked, logits, answer)
    num_parts = occlusion.num_parts(rows[place], fit)
    if not num_parts:
        return None
    parts = [
        _hidden(occlusion, rows[place], part, fit, others[: max(1, MOST_COPIES // num_parts)]) for part in range(num_parts)
    ]
    copies = [rows[place], *chain.from_iterable(parts)]  # in one batch, so that all are rounded alike
    _check_copies(asked.predictor, copies)
    every = _among_its_rows(asked, logits, place, asked.logits(copies))
    before, after = _scores(asked, every[:1], answer), _scores(asked, every[1:], answer, len(parts[0]))
    return Explained(answer.sample, int(own.ids[0]), answer.of, place, float(before[0]), after.tolist())


def _hidden(occlusion: Occlusion, row: NDArray[Any], part: int, fit: Fit, others: list[NDArray[Any]]) -> Sequence[NDArray[Any]]:
    """Copies of a row without one part: as many as there are rows that it is filled in from, or one."""
    if not others:
        return [occlusion.hidden(row, part, fit, None)]
    copies = occlusion.hidden(np.repeat(row[None], len(others), axis=0), part, fit, np.stack(others))
    return list(copies)


def _check_copies(predictor: Predictor, copies: Sequence[NDArray[Any]]) -> None:
    """ConfigError where one is no row as the first is: a kind of the user's own has made them."""
    items = 1 if predictor.ragged else 0
    forms = [f"{copy.dtype} of shape {copy.shape[items:]}" for copy in copies]
    strange = next((form for form in forms if form != forms[0]), None)
    if strange:
        raise ConfigError(
            f"data.kind = {predictor.kind!r}: hidden gave {strange}, and its row is {forms[0]}: expected is a row as stored "
            "(docs/kinds.md); or say evaluate.explain=0"
        )


def _speaker(asked: Asked, logits: Tensor, answer: Answer) -> int:
    """Which of a sample's rows says most that the answer is what it is: of numbers, too large or too small."""
    scores = _scores(asked, logits, answer)
    return int((-scores if asked.predictor.targets and not answer.given else scores).argmax())


def _scores(asked: Asked, logits: Tensor, answer: Answer, each: int = 1) -> Floats:
    """(n / each,) the answer on its scale: of the mean over so many that follow each other."""
    if asked.predictor.targets:
        numbers = asked.numbers(logits)[:, answer.of]
        return np.asarray(numbers.reshape(-1, each).mean(axis=1))
    yes, no = (log[:, answer.of].reshape(-1, each) for log in asked.chances(logits))
    odds = np.logaddexp.reduce(yes, axis=1) - np.logaddexp.reduce(no, axis=1)
    return np.asarray(odds if answer.given else -odds)


def _among_its_rows(asked: Asked, logits: Tensor, place: int, of_copies: Tensor) -> Tensor:
    """(M, outputs) of a sample's mean answer with each of M copies in place of one of its rows (R, outputs)."""
    num, copies = len(logits), len(of_copies)
    if num == 1:
        return of_copies
    every = logits.expand(copies, *logits.shape).clone()
    every[:, place] = of_copies
    return joined(asked.predictor.loss, every.reshape(1, copies * num, -1), [num] * copies)[0]
