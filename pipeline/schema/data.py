"""Where the labelled data is and how it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.schema.base import Section

PATHS = ("path", "train_path", "val_path", "test_path", "synonyms")


def is_descriptor(path: Any) -> bool:
    """Whether a path stands for "not given" in `params.yaml`."""
    return isinstance(path, str) and path.startswith("conf/data/") and path.endswith(".yaml")


class DataConfig(Section):
    """`data.*`: read by `prepare` alone. What each kind of data adds is in its own folder of `pipeline/kinds`."""

    content_key: ClassVar[str | None] = None
    """The kind's key that names the column of the content; None: a whole row of a table is a sample, which data=table reads."""

    in_cells: ClassVar[bool] = False
    """Whether a table's cells in that column are the contents, as text; else they name files, or are encoded samples."""
    takes_synonyms: ClassVar[bool] = False
    """Whether the kind reads `synonyms`."""
    sample_files: ClassVar[frozenset[str]] = frozenset()
    """Suffixes of files that are samples of the kind, though beside images they are none: of texts."""
    beside_files: ClassVar[frozenset[str]] = frozenset()
    """Suffixes of files that lie beside samples of the kind, and are none: further to texts and tables."""
    unmixed: ClassVar[str | None] = None
    """What samples of the kind are that keeps any two of them from being mixed (MixUp, CutMix); None: nothing, as such."""

    @property
    def needs(self) -> Mapping[str, str]:
        """Modules that reading the data needs and no project has by itself, and what to say where one is not installed."""
        return {}

    @classmethod
    def form(cls, shape: Sequence[int], lengths: Sequence[int] | None) -> str | None:
        """How a row is stored, in words for people; None: its shape and its type tell.

        lengths: where rows are ragged, the fewest, the median and the most items; None also where they are not known yet.
        """
        return None

    kind: str
    """What a sample is: a folder of `pipeline/kinds`, or a name in KINDS of `extensions.py`."""
    source: Literal["digits", "idx", "folder", "parquet", "csv", "table", "auto"]
    """auto: a folder, a CSV or Parquet files, as what lies in `path` says."""
    path: str | None
    """Folder or file below the project, usually the link `data/NAME`; null for embedded data and where train_path is given."""
    train_path: str | None
    val_path: str | None
    test_path: str | None
    """Given splits: these win over splitting by content. A split that is not given is cut from the training samples."""
    synonyms: str | None
    """Of texts: a file of words and what may stand for each, which augmentation takes."""
    size: int | list[int] | None
    """Of a sample, as its kind says; null: its own."""
    files: str | None
    """How a name in that column becomes a path from the table's folder: "train_images/{}.png"; null: it is that path."""
    label: str | Annotated[list[str], Field(min_length=2)]
    """Column of the label, or several columns of 0 and 1; of numbers, columns of numbers."""
    label_strip: str | None
    """Characters that are no part of a label where they stand at its ends, such as "." of "yes."."""
    target: Literal["auto", "classes", "number"]
    """What labels are: names of classes, or numbers to predict. auto: a column of many different numbers is of numbers."""
    decimal: Literal[",", "."] | None
    """The sign before decimals in numbers of tables, where the other one may be between thousands; null: as the cells say."""
    separator: str | None
    """Splits the label column into several labels, such as "a|b"."""
    exclusive: bool | None
    """Whether columns or lists of 0 and 1 mean one class a sample; true: a row with none or several is rejected; null: they do
    if all rows have exactly one."""
    split: str | None
    """Column whose values are train, val or test."""
    group: str | None
    """Column (speaker, patient) whose equal values stay in one split."""
    time: str | None
    """Column of a date, a time or a number by which the newest samples become the test split, the next ones val."""
    day_first: bool | None
    """Whether 01/02/2024 in that column, and in a table's other columns, is the first of February; null: as other cells of it
    say, or refused."""
    class_level: Annotated[int, Field(ge=1, le=16)] | None
    """Depth of the folders that name the classes, below the data's own folder; null: recognised."""

    @model_validator(mode="before")
    @classmethod
    def _not_given(cls, values: Any) -> Any:
        """DVC can't depend on null: in `params.yaml` a `path` that is not given names the source's own file in `conf/data/`,
        and a split's path that is not given repeats `path` (`${.path}` in `conf/data/base.yaml`). Both are null here."""
        if not isinstance(values, dict):
            return values
        path = values.get("path")
        null = [key for key in PATHS if is_descriptor(values.get(key)) or (key != "path" and values.get(key) == path)]
        return values | {key: None for key in null if key in values}

    @property
    def content(self) -> str | None:
        """Column of the content (bytes, array or file path) in a parquet or csv source; None: the whole row is it."""
        column: str | None = getattr(self, self.content_key) if self.content_key else None
        return column

    @model_validator(mode="after")
    def _fits(self) -> DataConfig:
        problems = [*self._place_problems(), *self._column_problems(), *self._files_problems()]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _place_problems(self) -> list[str]:
        if self.path is not None and self.train_path is not None:
            return [f"path = {self.path} and train_path = {self.train_path} both name the training samples; use one of them"]
        return []

    def _column_problems(self) -> list[str]:
        problems = []
        problems += self._kind_problems()
        if self.synonyms is not None and not self.takes_synonyms:
            problems.append(f"synonyms = {self.synonyms}: data of the kind {self.kind} have no words")
        problems += self.source_problems(self.source) if self.source != "auto" else []
        if self.content is not None and self.content in (self.label if isinstance(self.label, list) else [self.label]):
            what = self.content_key
            problems.append(f"{what} and label both name the column {self.content}; the {what}'s column is another one")
        for key in ("separator", "exclusive"):
            if self.target == "number" and getattr(self, key) is not None:
                problems.append(f"target = number: {key} is of classes; set {key} to null, or target to classes")
        if isinstance(self.label, list) and self.separator is not None:
            problems.append("separator splits one label column, but label lists several")
        problems += self._twice_problems()
        if self.separator == "":
            problems.append("separator must hold at least one character; null for one label a sample")
        if self.split is not None and (self.train_path, self.val_path, self.test_path) != (None, None, None):
            problems.append("split names a column, and train_path, val_path or test_path give splits too; use one of them")
        return [*problems, *self._time_problems()]

    def _kind_problems(self) -> list[str]:
        """Sources that samples of the kind don't come from."""
        if self.content_key is None:
            fits, allowed = self.source == "table", "source = table, which data=table says"
        elif self.in_cells:
            fits, allowed = self.source in ("table", "folder", "auto"), "source = auto, table or folder"
        else:
            fits, allowed = self.source != "table", "any source but table"
        return [] if fits else [f"source = {self.source}: data of the kind {self.kind} need {allowed}"]

    def source_problems(self, source: str) -> list[str]:
        """What is asked for that such a source hasn't."""
        problems = []
        if source not in ("parquet", "csv", "table"):
            keys = ("files", "label_strip", "decimal", "separator", "exclusive", "split", "group", "time")
            columns = [key for key in keys if getattr(self, key) is not None]
            columns += ["label"] if isinstance(self.label, list) else []
            problems += [f"source = {source} has no columns for {', '.join(columns)}"] if columns else []
        if source != "folder" and self.class_level is not None:
            problems.append(f"source = {source} has no class folders for class_level")
        return problems

    def _twice_problems(self) -> list[str]:
        """A label, or a given split, that is something else as well. Times may be groups, and so may files."""
        labels = self.label if isinstance(self.label, list) else [self.label]
        named: dict[str, list[str | None]] = {"split": [self.split], "group": [self.group], "label": [*labels]}
        pairs = (("label", "split"), ("label", "group"), ("group", "split"))
        return [
            f"{one} and {other} both name the column {name}; say another column, or null, for one of them"
            for one, other in pairs
            for name in named[one]
            if name is not None and name in named[other]
        ]

    def _time_problems(self) -> list[str]:
        given = [key for key in ("split", "val_path", "test_path") if getattr(self, key) is not None]
        problems = []
        if self.time is not None and given:
            problems.append(f"time = {self.time} cuts the splits by time, and {given[0]} gives them; use one of them")
        if self.time is None and self.day_first is not None and self.content_key is not None:
            problems.append("day_first says how the dates in the column time are read, and time names none")
        return problems

    def _files_problems(self) -> list[str]:
        if self.files is None:
            return []
        said = f"files = {self.files!r}"
        head, _, tail = self.files.partition("{}")
        if self.files.count("{}") != 1:
            return [f'{said}: write {{}} once, where the name from the table comes, such as "train_images/{{}}.png"']
        if "\\" in self.files:
            return [f"{said}: write / between folders"]
        if self.files.startswith(("/", "~")) or ".." in self.files.split("/"):
            return [f"{said}: it leads out of the table's folder; write a path below that"]
        return (
            [f"{said}: * may stand in the names of folders before {{}} alone"] if "*" in head.rpartition("/")[2] + tail else []
        )
