"""Where samples come from: one file per kind of source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from pipeline.errors import ConfigError, DataError
from pipeline.prepare.raw import Portion, Said, Source
from pipeline.prepare.sources.chosen import chosen_source
from pipeline.prepare.sources.csv import open_csv
from pipeline.prepare.sources.digits import open_digits
from pipeline.prepare.sources.folder import open_folder
from pipeline.prepare.sources.idx import open_idx
from pipeline.prepare.sources.parquet import open_parquet
from pipeline.prepare.sources.rows import open_table
from pipeline.schema.data import DataConfig

OPENERS: dict[str, Callable[[Path, DataConfig], Source]] = {
    "idx": open_idx,
    "folder": open_folder,
    "parquet": open_parquet,
    "csv": open_csv,
    "table": open_table,
}
"""By `data.source`: a function from a place to its samples. The embedded digits need no place."""


def open_source(data: DataConfig) -> Source:
    """The samples that `data` names; those of `train_path`, `val_path` and `test_path` with their split given."""
    named = [key for key, _ in _PLACES if getattr(data, key)]
    if data.source == "digits":
        if named:
            raise ConfigError(f"data.{named[0]} = {getattr(data, named[0])}: data=digits is embedded and reads no path")
        return open_digits()
    if not {"path", "train_path"} & set(named):
        raise ConfigError(f"data.path is not given: data={data.source} needs it, or data.train_path")
    opened = [_given(_opened(_place(data, key), data), split) for key, split in _PLACES if key in named]
    return _joined(opened)


def _opened(path: Path, data: DataConfig) -> Source:
    return OPENERS[chosen_source(path, data) if data.source == "auto" else data.source](path, data)


def source_of(data: DataConfig) -> str:
    """The name of the source; where `auto` leaves it to what lies there, the one that is found."""
    place = data.path or data.train_path
    return chosen_source(Path(place), data) if data.source == "auto" and place else data.source


_PLACES = (("path", None), ("train_path", "train"), ("val_path", "val"), ("test_path", "test"))


def _place(data: DataConfig, key: str) -> Path:
    path = Path(getattr(data, key))
    if path.exists():
        return path
    if path.is_symlink():
        raise DataError(
            f"data.{key} = {path}: the link leads to {path.readlink()}, which is not there; make it anew or bring the data back"
        )
    raise ConfigError(
        f"data.{key} = {path}: no such file or folder; give the place of the data, relative to the project's root"
    )


def _given(source: Source, split: str | None) -> Source:
    """The source with all its samples in one split, whose name is put before theirs."""
    if split is None:
        return source

    def read() -> Iterator[Portion]:
        for portion in source.read():
            places = replace(portion.sources, values=[f"{split}/{place}" for place in portion.sources.values])
            yield replace(portion, splits=Said.of([split] * len(portion)), sources=places)

    return replace(source, read=read)


def _joined(sources: list[Source]) -> Source:
    """The samples of all sources, one after the other."""
    first = sources[0]
    if any(source.task != first.task for source in sources):
        raise DataError("the given splits differ in kind: some have one label a sample, others several; store them alike")

    if any(source.switches != first.switches for source in sources):
        raise DataError(
            "the given splits differ in kind: lists of 0 and 1 in some, other lists or other lengths in others; "
            "store them alike"
        )

    def read() -> Iterator[Portion]:
        for source in sources:
            yield from source.read()

    counts = [source.num_samples for source in sources]
    num_samples = None if None in counts else sum(num for num in counts if num is not None)
    classes = first.classes if all(source.classes == first.classes for source in sources) else None
    notes = tuple(dict.fromkeys(note for source in sources for note in source.notes))
    hints = tuple(dict.fromkeys(hint for source in sources for hint in source.hints))
    cells = first.cells if len(sources) == 1 else None
    return Source(first.task, read, num_samples, classes, notes, first.switches, first.columns, hints, cells)
