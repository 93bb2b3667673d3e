"""What was found of where answers come from, as files of `evaluate` that the report reads (no torch)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.artifacts import read_csv, read_json, write_csv, write_json
from pipeline.errors import StorageError

EXPLANATIONS, COLUMNS = "explanations.json", "columns.csv"
_HEADER = ("column", "samples", "repeats", "worse", "low", "high", "accuracy", "accuracy_low", "accuracy_high")


class Answer(NamedTuple):
    """Which answer to a sample is explained."""

    sample: int
    """Its place in the split."""
    of: int
    """The class or label, or the number."""
    given: bool
    """Whether it was given: of several labels one may be left out; of numbers whether it is too large."""


@dataclass(frozen=True)
class Explained:
    """What an answer came from: a line of `explanations.json`."""

    sample: int
    """Its place in the split; `id` is its own number."""
    id: int
    of: int
    row: int
    """Which of the sample's rows has the parts: the one that speaks most for the answer."""
    before: float
    """The answer as it is, in log odds that it was given; of numbers the number."""
    after: list[float]
    """Without each part."""


@dataclass(frozen=True)
class Importance:
    """How much worse answers are where one column is that of other samples: a line of `columns.csv`."""

    column: str
    samples: int
    repeats: int
    worse: float
    """The loss in nats, of numbers the absolute error, less what it is with the column; with its interval of 95 %."""
    low: float | None
    high: float | None
    accuracy: float | None
    """Likewise the accuracy that is lost; of numbers None."""
    accuracy_low: float | None
    accuracy_high: float | None

    @property
    def is_used(self) -> bool | None:
        """Whether answers are worse without it; None: too few samples to say."""
        return None if self.low is None else self.low > 0


def write_explanations(folder: Path, found: Sequence[Explained]) -> None:
    """Write them whole."""
    write_json(folder / EXPLANATIONS, {"explained": [asdict(one) for one in found]})


def read_explanations(folder: Path) -> dict[int, Explained]:
    """By sample; none where none were made."""
    path = folder / EXPLANATIONS
    if not path.exists():
        return {}
    try:
        found = [Explained(**one) for one in read_json(path)["explained"]]
    except (KeyError, TypeError):
        raise StorageError(f"{path}: not what this code writes; run `dvc repro evaluate`") from None
    return {one.sample: one for one in found}


def write_importance(folder: Path, found: Sequence[Importance]) -> None:
    """Write them whole, in the order of the data's columns."""
    write_csv(folder / COLUMNS, list(_HEADER), [list(asdict(one).values()) for one in found])


def read_importance(folder: Path) -> list[Importance]:
    """The most important column first; none where none were looked at."""
    path = folder / COLUMNS
    found = [_importance(row) for row in read_csv(path, _HEADER)] if path.exists() else []
    return sorted(found, key=lambda one: -one.worse)


def _importance(row: Mapping[str, str]) -> Importance:
    numbers: list[Any] = [float(row[name]) if row[name] else None for name in _HEADER[3:]]
    return Importance(row["column"], int(row["samples"]), int(row["repeats"]), *numbers)
