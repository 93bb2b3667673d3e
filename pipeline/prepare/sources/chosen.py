"""Which source lies in a path, where `data.source=auto` says that the path tells it."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.errors import ConfigError, DataError
from pipeline.prepare.sources.csv import SUFFIXES, tables_with_content
from pipeline.prepare.sources.layout import beside_of, is_hidden, key_of, readable_name
from pipeline.prepare.sources.rows import SUFFIXES as TABLES
from pipeline.prepare.sources.tree import Folder
from pipeline.schema.data import DataConfig

_PARQUET = ".parquet"


def chosen_source(path: Path, data: DataConfig) -> str:
    """folder, csv or parquet, or table where its cells are the contents.

    ConfigError where it has not what is asked for, DataError where it is none of them.
    """
    source = _of_folder(path, data) if path.is_dir() else _of_file(path, data)
    if source is None:
        suffixes, what = (TABLES, "holds") if data.in_cells else ((*SUFFIXES, _PARQUET), "names")
        raise DataError(
            f"{readable_name(path)}: neither a folder nor a table ({', '.join(suffixes)}); give the folder of "
            f"the samples, or the table that {what} them"
        )
    if problems := data.source_problems(source):
        raise ConfigError(f"{key_of(path, data)} = {readable_name(path)}: {'; '.join(problems)}")
    return source


def _of_file(path: Path, data: DataConfig) -> str | None:
    if data.in_cells:
        return "table" if path.name.lower().endswith(TABLES) else None
    suffix = path.suffix.lower()
    return "csv" if suffix in SUFFIXES else "parquet" if suffix == _PARQUET else None


def _of_folder(path: Path, data: DataConfig) -> str:
    """A table in it counts where it has the column of the content, and no two folders beside it may be classes."""
    top = Folder(path, beside_of(data))
    if data.in_cells:
        tables = [name for name in os.listdir(path) if name.lower().endswith(TABLES) and not is_hidden(name)]
        return "table" if tables and len(top.filled) < 2 else "folder"
    if len(top.filled) < 2 and tables_with_content(path, data):
        return "csv"
    files = [Path(name).suffix.lower() for folder in top.walk() for name in folder.files]
    return "parquet" if files and {*files} == {_PARQUET} else "folder"
