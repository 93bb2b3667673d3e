"""Samples whose labels nobody knows yet: a file, all files below a folder, or the rows of tables, as a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.errors import DataError
from pipeline.prepare.raw import Portion, Raw, Source, portioned
from pipeline.prepare.sources.csv import SUFFIXES, header_of, open_csv
from pipeline.prepare.sources.folder import raw_of
from pipeline.prepare.sources.layout import beside_of, is_hidden, readable_name
from pipeline.prepare.sources.parquet import column_names, open_parquet
from pipeline.prepare.sources.rows import ALL_SUFFIXES, open_rows
from pipeline.prepare.sources.rows import SUFFIXES as TABLES
from pipeline.prepare.sources.table import check_content, unlabelled
from pipeline.prepare.sources.tree import Folder
from pipeline.schema.data import DataConfig

_PARQUET = ".parquet"
Opener = Callable[[Path, DataConfig], Source]


def open_unlabelled(path: Path, data: DataConfig) -> Source:
    """What lies in a path, by the kind of data; DataError where it can be no sample of that kind."""
    if not path.exists():
        raise DataError("no such file or folder")
    if data.content_key is None:
        return _tables(path, data) if path.is_dir() else _rows(path, data)
    if path.is_dir():
        return _files(path, data)
    suffix = path.suffix.lower()
    if data.in_cells:
        return open_rows(path, data) if path.name.lower().endswith(TABLES) else _listed([raw_of(path, path.name)])
    if _is_sample(path, data):
        return _listed([raw_of(path, path.name)])
    if suffix in SUFFIXES:
        return _with_content(open_csv, header_of(path, data.content), path, data)
    if suffix == _PARQUET:
        return _with_content(open_parquet, column_names(path), path, data)
    return _listed([raw_of(path, path.name)])


def passed_over(path: Path, data: DataConfig) -> list[str]:
    """Names, from a folder on, of the files in it that are of another kind, so that `open_unlabelled` leaves them out."""
    if not path.is_dir():
        return []
    top = Folder(path, beside_of(data))
    if data.content_key is None or (data.in_cells and not top.holds_samples):
        files = [file.name for file in path.iterdir() if file.is_file() and not is_hidden(file.name)]
        return sorted(name for name in files if not name.lower().endswith(TABLES))
    return [readable_name((below.path / name).relative_to(path)) for below in top.walk() for name in below.beside]


def _is_sample(path: Path, data: DataConfig) -> bool:
    """Whether a file that beside images would be a table is a sample of the kind, and no table that lists such."""
    suffix = path.suffix.lower()
    its_own = suffix.removeprefix(".") in data.sample_files
    return its_own and not (suffix in SUFFIXES and data.content in header_of(path, data.content))


def _with_content(opener: Opener, names: Sequence[str], path: Path, data: DataConfig) -> Source:
    """The samples in, or named by, a column of a table."""
    check_content(names, data)
    return opener(path, unlabelled(data))


def _rows(path: Path, data: DataConfig) -> Source:
    if path.suffix and not path.name.lower().endswith(ALL_SUFFIXES):
        raise DataError(f"no table ({', '.join(TABLES)}), and rows of tables are what this network takes")
    return open_rows(path, data)


def _tables(folder: Path, data: DataConfig) -> Source:
    """One after the other."""
    names = sorted(file.name for file in folder.iterdir() if file.name.lower().endswith(TABLES) and not is_hidden(file.name))
    if not names:
        raise DataError(f"no table in it ({', '.join(TABLES)}), and rows of tables are what this network takes")
    sources = {name: _rows(folder / name, data) for name in names}

    def read() -> Iterator[Portion]:
        for source in sources.values():
            yield from source.read()

    return replace(next(iter(sources.values())), read=read)


def _files(folder: Path, data: DataConfig) -> Source:
    """All files that may be samples, at any depth; in a folder of Parquet files alone their rows."""
    top = Folder(folder, beside_of(data))
    if not top.holds_samples and data.in_cells:
        return _tables(folder, data)
    if not top.holds_samples:
        raise DataError("no file in it that may be a sample")
    if all(name.lower().endswith(_PARQUET) for below in top.walk() for name in below.files):
        return open_parquet(folder, unlabelled(data))

    def read() -> Iterator[Raw]:
        for below in top.walk():
            for name in below.files:
                path = below.path / name
                yield raw_of(path, readable_name(path.relative_to(folder)))

    return Source("number", portioned(read), None, None)


def _listed(raws: list[Raw]) -> Source:
    return Source("number", portioned(lambda: raws), len(raws), None)
