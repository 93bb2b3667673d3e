"""What sources with columns (Parquet, CSV) share: from the cells of a row to a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.data.dataset import Task
from pipeline.errors import DataError
from pipeline.kinds.kind import BadSampleError, Content
from pipeline.prepare.labels import cell_text, label_text, number_texts, split_labels, switched_labels
from pipeline.prepare.raw import Raw
from pipeline.prepare.sources.layout import SPLIT_WORDS
from pipeline.schema.data import DataConfig
from pipeline.wording import first_of

_NAMED = 6


def unlabelled(data: DataConfig) -> DataConfig:
    """The keys of a source whose samples bear neither labels, as if no number were to be predicted, nor splits or groups."""
    return data.model_copy(update={"label": [], "target": "number", "split": None, "group": None, "time": None})


def check_content(names: Sequence[str], data: DataConfig) -> None:
    """DataError where a table that is to be predicted lacks the column of the content."""
    if data.content not in (None, *names):
        raise DataError(
            f"a table without the column {data.content!r}, in which samples of the kind {data.kind} came in training; it has "
            f"{first_of([*map(repr, names)], _NAMED)}"
        )


@dataclass(frozen=True)
class Columns:
    """Which columns of a table mean what."""

    content: str
    """Empty: the whole row is it."""
    content_key: str | None
    """The key of `data` that names it."""
    labels: tuple[str, ...]
    several: bool
    """Whether the label columns are switches of 0 and 1."""
    separator: str | None
    split: str | None
    group: str | None
    time: str | None
    strip: str
    """What is no part of a label at its ends."""
    numbers: bool
    """Whether the label columns hold numbers to predict."""

    @property
    def names(self) -> list[str]:
        """All that are needed, each once."""
        return list(dict.fromkeys(name for name in (self.content, *self.labels, *self.beside) if name))

    def named(self) -> list[tuple[str, str]]:
        """Each column with the key that names it."""
        content = [(self.content, f"data.{self.content_key}")] if self.content else []
        keys = zip(("data.split", "data.group", "data.time"), self.beside, strict=True)
        return [*content, *((name, "data.label") for name in self.labels), *((name, key) for key, name in keys if name)]

    @property
    def beside(self) -> tuple[str | None, ...]:
        """Those of what is known of a sample besides its content and its labels."""
        return self.split, self.group, self.time

    @property
    def task(self) -> Task:
        """Whether a sample may have several labels, or has numbers."""
        if self.numbers:
            return "number"
        return "multi" if self.several or self.separator else "single"


def columns_of(data: DataConfig) -> Columns:
    """The columns that the configuration names."""
    labels = tuple(data.label) if isinstance(data.label, list) else (data.label,)
    numbers = data.target == "number"
    several = isinstance(data.label, list) and not numbers
    own = (data.content or "", data.content_key, labels, several, data.separator)
    return Columns(*own, data.split, data.group, data.time, data.label_strip or "", numbers)


def row_labels(columns: Columns, cells: Mapping[str, object]) -> tuple[str, ...]:
    """The labels of a row; BadSampleError where there is none, or none that is allowed."""
    if columns.several:
        return switched_labels(columns.labels, [cells[name] for name in columns.labels])
    if columns.numbers:
        return number_texts([_stripped(columns, cells[name]) for name in columns.labels])
    value = _stripped(columns, cells[columns.labels[0]])
    if columns.separator:
        return split_labels(cell_text(value), columns.separator)
    if isinstance(value, list):
        return tuple(sorted({label_text(item) for item in value}))
    return (label_text(value),)


def _stripped(columns: Columns, value: object) -> object:
    return value.strip().strip(columns.strip) if isinstance(value, str) and columns.strip else value


def row_split(columns: Columns, cells: Mapping[str, object]) -> str | None:
    """The given split of a row; None where its cell is empty."""
    value = cells[columns.split] if columns.split else None
    text = cell_text(value).lower()
    if text and text not in SPLIT_WORDS:
        raise BadSampleError(f"column {columns.split} says {str(value)!r}; train, val or test is allowed")
    return SPLIT_WORDS[text] if text else None


def row_group(columns: Columns, cells: Mapping[str, object]) -> str | None:
    """The group of a row; None where its cell is empty: then the sample is a group of its own."""
    value = cells[columns.group] if columns.group else None
    return cell_text(value) or None


def row_time(columns: Columns, cells: Mapping[str, object]) -> str | None:
    """The time of a row as it is written; BadSampleError where its cell is empty: it is neither old nor new."""
    if columns.time is None:
        return None
    text = cell_text(cells[columns.time])
    if not text:
        raise BadSampleError(f"column {columns.time}: no time")
    return text


def made_raw(
    columns: Columns, cells: Mapping[str, object], source: str, row: int, content: Content | None, num_bytes: int
) -> Raw:
    """A row as a sample; what is wrong with its cells becomes its problem."""
    try:
        labels, split = row_labels(columns, cells), row_split(columns, cells)
        group, time = row_group(columns, cells), row_time(columns, cells)
    except BadSampleError as bad:
        return Raw(source, row, (), content, num_bytes, problem=str(bad))
    return Raw(source, row, labels, content, num_bytes, split, group, time)
