"""From what was asked to the bytes of an answer; in one thread, one request after the other.

Requests are not put together into batches: products of matrices of other heights round differently, so an answer would
depend, in its last bits, on who else asks (tried with dense networks, convolutions and attention on CPUs). Samples of
one request are a batch, as they are for `Model.predict`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.errors import DataError
from pipeline.prediction.model import Model, Predicted
from pipeline.prediction.serving.asked import Asked
from pipeline.prediction.serving.refused import Limits, RefusedError, too_many
from pipeline.prediction.serving.samples import Taken, is_table, samples_in, table_of


class Answer(NamedTuple):
    """A body, and what it holds."""

    body: bytes
    num: int
    num_problems: int


@dataclass(frozen=True)
class Answering:
    """One network's."""

    model: Model
    taken: Taken
    limits: Limits

    def answer(self, asked: Asked) -> Answer:
        """Answers to all that can be read; RefusedError where the request as a whole is none."""
        if asked.calibrated and self.model.answers.fitted is None:
            raise RefusedError("calibrated", "no temperature was fitted for this network", "true", ["false"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what training never saw, which the answer counts
            parts = [*self._predicted(asked)]
        body = _as_json(parts, self.model, asked.top)
        return Answer(json.dumps(body, ensure_ascii=False).encode(), len(body["answers"]), len(body["problems"]))

    def _predicted(self, asked: Asked) -> Iterator[Predicted]:
        if asked.json is not None:
            name, samples = samples_in(asked.json, self.taken, self.limits)
            try:
                yield from self.model.stream(samples, calibrated=asked.calibrated)
            except DataError as error:
                raise RefusedError(name, f"{error}") from None
        for name, content in asked.files:
            yield from self._of_file(name, content, asked.calibrated)

    def _of_file(self, name: str, content: bytes, calibrated: bool) -> Iterator[Predicted]:
        if not is_table(name, self.taken):
            yield from self.model.content(name, content, calibrated=calibrated)
            return
        with table_of(name, content) as path:
            self._check_rows(name, path)
            for part in self.model.named(path, name, calibrated=calibrated):
                yield replace(part, problems=[(of, _without(said, path, name)) for of, said in part.problems])

    def _check_rows(self, name: str, path: Path) -> None:
        """Before one of them is read; what keeps a table from being read at all is told when it is."""
        with suppress(DataError):
            if self.model.reader.holds_more(path, self.limits.items):
                raise too_many(name, None, self.limits)


def _without(said: str, path: Path, name: str) -> str:
    """What is said of a table without the place that it lies at here."""
    return said.replace(str(path), name).replace(path.name, name)


def _as_json(parts: list[Predicted], model: Model, top: int | None) -> dict[str, Any]:
    return {
        "answers": [answer for part in parts for answer in _answers(part, model, top)],
        "problems": [{"input": name, "reason": said} for part in parts for name, said in part.problems],
        "unseen": sum(part.unseen for part in parts),
    }


def _answers(part: Predicted, model: Model, top: int | None) -> Iterator[dict[str, Any]]:
    if part.numbers is not None:
        for name, row in zip(part.names, part.numbers.tolist(), strict=True):
            yield {"input": name, "numbers": dict(zip(model.targets, row, strict=True))}
        return
    assert part.probabilities is not None
    ranked = np.argsort(-part.probabilities, axis=1, kind="stable")[:, :top]
    for i, (name, prediction) in enumerate(zip(part.names, part.predictions, strict=True)):
        classes = [{"class": model.classes[j], "probability": float(part.probabilities[i, j])} for j in ranked[i].tolist()]
        yield {"input": name, "prediction": prediction, "classes": classes}
