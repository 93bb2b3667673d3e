"""Predicted as tables: CSV, JSON lines or Parquet, written as they come."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from pipeline.artifacts import no_formula, storage_errors, written_whole
from pipeline.errors import ConfigError
from pipeline.prediction.model import Model, Predicted

Write = Callable[[Predicted], None]
TOP = 3
"""Classes that are named with their probabilities."""


def columns_of(model: Model, top: int) -> list[str]:
    """Names of the columns: the sample, the numbers; or the answer and the most probable classes."""
    if model.predictor.task == "number":
        return ["input", *model.targets]
    ranks = range(1, min(top, len(model.classes)) + 1)
    return ["input", "prediction", *(f"{what}_{rank}" for rank in ranks for what in ("class", "probability"))]


def rows_of(answers: Predicted, classes: Sequence[str], top: int) -> Iterator[list[Any]]:
    """A row for each sample."""
    if answers.numbers is not None:
        yield from ([name, *own] for name, own in zip(answers.names, answers.numbers.tolist(), strict=True))
        return
    assert answers.probabilities is not None
    ranked = np.argsort(-answers.probabilities, axis=1, kind="stable")[:, :top]
    for i, (name, prediction) in enumerate(zip(answers.names, answers.predictions, strict=True)):
        best = [(classes[j], float(answers.probabilities[i, j])) for j in ranked[i].tolist()]
        yield [name, prediction, *(value for pair in best for value in pair)]


@contextlib.contextmanager
def table_at(path: Path | None, model: Model, top: int, stdout: IO[str]) -> Iterator[Write]:
    """Writes answers to a file, whole or not at all, whose suffix says the form; None: as CSV to the terminal."""
    names, classes = columns_of(model, top), model.classes
    if path is None:
        yield _csv(stdout, names, classes, top)
        return
    if path.suffix not in FORMS:
        raise ConfigError(f"--out {path}: the suffix says how answers are written: {', '.join(FORMS)}")
    if not path.parent.is_dir():
        raise ConfigError(f"--out {path}: there is no folder {path.parent}; make it (`mkdir -p`), then repeat")
    with storage_errors(path), written_whole(path) as place, FORMS[path.suffix](place, names, classes, top) as write:
        yield write


def _csv(file: IO[str], names: Sequence[str], classes: Sequence[str], top: int) -> Write:
    """With the first answer the names of the columns come."""
    writer = csv.writer(file, lineterminator="\n")
    head = [[no_formula(name) for name in names]]

    def write(answers: Predicted) -> None:
        for row in rows_of(answers, classes, top):
            while head:
                writer.writerow(head.pop())
            writer.writerow([f"{cell:.8g}" if isinstance(cell, float) else no_formula(cell) for cell in row])

    return write


@contextlib.contextmanager
def _csv_file(place: Path, names: Sequence[str], classes: Sequence[str], top: int) -> Iterator[Write]:
    with place.open("w", encoding="utf-8", newline="") as file:
        yield _csv(file, names, classes, top)


@contextlib.contextmanager
def _json_lines(place: Path, names: Sequence[str], classes: Sequence[str], top: int) -> Iterator[Write]:
    with place.open("w", encoding="utf-8") as file:

        def write(answers: Predicted) -> None:
            for row in rows_of(answers, classes, top):
                file.write(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n")

        yield write


@contextlib.contextmanager
def _parquet(place: Path, names: Sequence[str], classes: Sequence[str], top: int) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    of_text = {"input", "prediction", *(name for name in names if name.startswith("class_") and classes)}
    schema = pa.schema([(name, pa.string() if name in of_text else pa.float64()) for name in names])
    with pq.ParquetWriter(place, schema, compression="zstd") as writer:

        def write(answers: Predicted) -> None:
            rows = [dict(zip(names, row, strict=True)) for row in rows_of(answers, classes, top)]
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, schema))

        yield write


FORMS = {".csv": _csv_file, ".jsonl": _json_lines, ".parquet": _parquet}
