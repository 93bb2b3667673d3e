"""A trained network that answers: from `model.json` and `best.safetensors` alone, or with the user's own `extensions.py`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.artifacts import read_json
from pipeline.errors import ConfigError, DataError
from pipeline.evaluation.answers import FILE, Answers
from pipeline.evaluation.decisions import Decision, at_temperature
from pipeline.kinds.inputs import unseen_of
from pipeline.model.predictor import Predictor, load_predictor
from pipeline.prediction.reading import Read, Reader
from pipeline.prepare.parallel import num_workers

MOST, MOST_BYTES = 1024, 2**24
"""Samples that go through the network at once, and bytes of their inputs."""
JOINT = "|"
"""Between the labels of a sample that has several."""


@dataclass(frozen=True)
class Predicted:
    """What the network says of some samples."""

    names: list[str]
    """Of files their paths, of tables with the row's number; of arrays and rows their places."""
    predictions: list[str]
    """A class, or labels with | between them; by the chosen threshold, and empty where that leaves the answer open. Of
    numbers none."""
    probabilities: NDArray[np.float32] | None
    """(n, classes)"""
    numbers: NDArray[np.float64] | None
    """(n, targets) in the data's own units."""
    problems: list[tuple[str, str]] = field(default_factory=list)
    """Names of samples that there is no answer for, and why."""

    unseen: int = 0
    """How many have what training never saw, where their kind can tell."""

    passed_over: list[str] = field(default_factory=list)
    """Files of a folder that are of another kind, such as a text among photos."""

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Model:
    """`Model.load("artifacts/train").predict(Path("photos"))`

    What can be predicted: a path of a file, a folder or a table, or several; arrays or tensors as stored (of images uint8
    (n, channels, height, width)); rows of a table as a DataFrame, an Arrow table or dicts; sounds and texts as their kind
    takes them (`Predictor.rows`). A path is a `pathlib.Path`: a str may be a text.
    """

    predictor: Predictor
    described: Mapping[str, Any]
    """`model.json`."""
    file: Path
    answers: Answers
    """How answers are taken: as the evaluation of these very weights has chosen, or the most probable ones."""
    count_unseen: Callable[[Any], int] | None = None
    """Counts samples as stored with what training never saw; None: their kind can't tell."""
    workers: int = field(default_factory=num_workers)
    """Processes that read files, where reading them takes longer than starting those."""

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> Model:
        """From a folder with `model.json` and `best.safetensors`; `decision.json` in it or in `evaluate/tables/` beside it, if
        there is one, holds the threshold and the temperature that were chosen on validation samples."""
        file = Path(path) / "model.json"
        described = read_json(file)
        predictor = load_predictor(Path(path), device)
        unseen = unseen_of(predictor.kind, predictor.fit)
        return cls(predictor, described, file, _chosen(Path(path), predictor), unseen)

    @property
    def classes(self) -> list[str]:
        return self.predictor.classes

    @property
    def targets(self) -> list[str]:
        """Names of the numbers, where it predicts numbers."""
        return self.predictor.targets

    @property
    def batch(self) -> int:
        """How many samples go through the network at once."""
        return max(1, min(MOST, MOST_BYTES // (4 * math.prod(self.predictor.shape))))

    @cached_property
    def reader(self) -> Reader:
        """How files are read; StorageError where `model.json` is of a version that does not say it."""
        return Reader.of(self.described, self.file)

    @property
    def rule(self) -> str | None:
        """`evaluate.threshold` by which its answers are taken; None: the most probable ones."""
        return self.answers.rule

    def predict(self, samples: Any, *, calibrated: bool = False) -> Predicted:
        """Answers to all samples at once. calibrated: with probabilities at the temperature fitted on validation samples."""
        return _joined(list(self.stream(samples, calibrated=calibrated)))

    def stream(self, samples: Any, *, calibrated: bool = False) -> Iterator[Predicted]:
        """The same a few at a time, so that any number of samples fits into memory."""
        self._check(calibrated)
        paths = [samples] if isinstance(samples, Path) else samples
        if isinstance(paths, list) and paths and all(isinstance(path, Path) for path in paths):
            for path in paths:
                yield from self._of_path(path, str(path), calibrated)
            return
        stored = samples if isinstance(samples, np.ndarray | torch.Tensor) else self.predictor.rows(samples)
        for at in range(0, len(stored), self.batch):
            part = stored[at : at + self.batch]
            yield self._answers([*map(str, range(at, at + len(part)))], part, calibrated)

    def named(self, path: Path, name: str, *, calibrated: bool = False) -> Iterator[Predicted]:
        """Of one path, which is shown by another name."""
        self._check(calibrated)
        yield from self._of_path(path, name, calibrated)

    def content(self, name: str, content: bytes, *, calibrated: bool = False) -> Iterator[Predicted]:
        """Of a file that is in memory: one sample, shown by this name."""
        self._check(calibrated)
        yield from self._of_read(self.reader.in_memory(name, content), calibrated)

    def _check(self, calibrated: bool) -> None:
        if calibrated and self.answers.fitted is None:
            raise ConfigError(
                f"{self.file.parent}: no temperature is known; `regatta run` evaluates the network and fits one on validation "
                f"samples, in {FILE}"
            )

    def _of_path(self, path: Path, name: str, calibrated: bool) -> Iterator[Predicted]:
        """What can't be opened, or not read to its end, is one problem."""
        try:
            for read in self.reader.read(path, name, self.workers):
                yield from self._of_read(read, calibrated)
            if others := self.reader.passed_over(path, name):
                yield replace(self._none([]), passed_over=others)
        except DataError as error:
            yield self._none([(name, str(error).removeprefix(f"{path}: "))])

    def _of_read(self, read: Read, calibrated: bool) -> Iterator[Predicted]:
        for at in range(0, len(read.names), self.batch):
            part = slice(at, at + self.batch)
            yield self._answers(read.names[part], read.samples[part], calibrated)
        if read.problems:
            yield self._none(read.problems)

    def _answers(self, names: list[str], stored: Any, calibrated: bool) -> Predicted:
        """Of some samples as stored."""
        tensors = _tensors(stored, self.predictor)
        logits = self.predictor.logits(tensors)
        unseen = self.count_unseen(tensors) if self.count_unseen else 0
        if self.predictor.task == "number":
            numbers = self.predictor.numbers(logits).numpy(force=True)
            found = Predicted(names, [], None, numbers, unseen=unseen)
        else:
            probabilities = self.predictor.probabilities(logits).numpy(force=True)
            found = Predicted(names, *self._decided(probabilities, calibrated), None, unseen=unseen)
        values = found.probabilities if found.numbers is None else found.numbers
        assert values is not None
        finite = np.isfinite(values)
        return found if finite.all() else _apart(found, np.asarray(finite.all(axis=1)))

    def _decided(self, probabilities: NDArray[np.float32], calibrated: bool) -> tuple[list[str], NDArray[np.float32]]:
        """Answers by the rule that was chosen, and probabilities; a threshold counts at the temperature it was chosen at."""
        own = self.answers
        found = own.names(probabilities)
        several = self.predictor.task == "multi"
        names = [JOINT.join(name or ()) for name in found] if several else cast("list[str]", [name or "" for name in found])
        if calibrated and own.fitted is not None:
            return names, at_temperature(probabilities, self.predictor.task, own.fitted)[0]
        return names, own.probabilities(probabilities)

    def _none(self, problems: list[tuple[str, str]]) -> Predicted:
        numbers = self.predictor.task == "number"
        width = len(self.targets if numbers else self.classes)
        empty = np.empty((0, width))
        return Predicted([], [], None if numbers else empty.astype(np.float32), empty if numbers else None, problems)


def _chosen(path: Path, predictor: Predictor) -> Answers:
    """What the evaluation of these weights has chosen, where it came along or lies beside them."""
    beside = path.parent / "evaluate" / "tables" / FILE
    if (path / FILE).exists():
        return predictor.answers(path / FILE)
    if beside.exists() and read_json(beside)["weights_sha256"] == predictor.weights:
        return predictor.answers(beside)
    return Answers(predictor.weights, None, predictor.classes, Decision(predictor.task))


def _tensors(stored: Any, predictor: Predictor) -> Any:
    """Samples as `Predictor.logits` takes them."""
    if isinstance(stored, torch.Tensor):
        return stored
    if isinstance(stored, np.ndarray):
        return torch.from_numpy(np.require(stored, requirements=["C", "W"]))
    own = [[torch.from_numpy(np.array(row)) for row in sample] if isinstance(sample, list) else sample for sample in stored]
    return own if predictor.windows else [sample[0] if isinstance(sample, list) else sample for sample in own]


def _apart(found: Predicted, finite: NDArray[np.bool_]) -> Predicted:
    """Without the answers that are not finite, which are problems."""
    places, others = np.flatnonzero(finite), np.flatnonzero(~finite)
    return Predicted(
        [found.names[i] for i in places],
        [found.predictions[i] for i in places] if found.predictions else [],
        None if found.probabilities is None else found.probabilities[places],
        None if found.numbers is None else found.numbers[places],
        [*found.problems, *((found.names[i], "the network's answer is not finite") for i in others)],
        found.unseen,
    )


def _joined(parts: list[Predicted]) -> Predicted:
    if not parts:
        raise DataError("no samples: there is nothing to predict")
    lists = zip(*((own.names, own.predictions, own.problems, own.passed_over) for own in parts), strict=True)
    names, predictions, problems, others = (list(chain.from_iterable(column)) for column in lists)
    probabilities = [own.probabilities for own in parts if own.probabilities is not None]
    numbers = [own.numbers for own in parts if own.numbers is not None]
    arrays = np.concatenate(probabilities) if probabilities else None, np.concatenate(numbers) if numbers else None
    return Predicted(names, predictions, *arrays, problems, sum(own.unseen for own in parts), others)
