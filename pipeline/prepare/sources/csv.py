"""A table of image paths and labels as text: "007" stays "007", "NA" is a label like any other, no line is skipped unseen."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pipeline.errors import DataError
from pipeline.kinds.kind import BadSampleError
from pipeline.prepare.raw import Raw, Source, portioned
from pipeline.prepare.sources.columns import check_columns
from pipeline.prepare.sources.encoding import not_utf8
from pipeline.prepare.sources.files import Files
from pipeline.prepare.sources.fitting import fit
from pipeline.prepare.sources.given import check_labelled, splits_of_tables
from pipeline.prepare.sources.layout import is_hidden, key_of, readable_name
from pipeline.prepare.sources.table import Columns, columns_of, made_raw
from pipeline.processes import one_line
from pipeline.schema.data import DataConfig

_DELIMITERS = ",;\t"
SUFFIXES = (".csv", ".tsv")


def open_csv(path: Path, data: DataConfig) -> Source:
    """The rows of a table, or of the tables in a folder: one alone, or one for each split that their names say."""
    columns = columns_of(data)
    key = key_of(path, data)
    tables = _tables(path, key)
    delimiters = {table: _delimiter(table, columns) for table in tables}
    headers = {table: _header(table, delimiter) for table, delimiter in delimiters.items()}
    if path.is_dir():
        lacking = [table.name for table, header in headers.items() if not {*columns.labels} <= {*header}]
        check_labelled(lacking, {table.name: split for table, split in tables.items()}, path, columns.labels)
    for table, header in headers.items():
        check_columns(columns, header, table, key, partial(_rows, table, delimiters[table]))
    folder = path.parent if path.is_file() else path
    folder = path.resolve().parent if path.is_file() and path.is_symlink() else folder

    def cells() -> Iterator[str]:
        for table in tables:
            yield from (row[columns.content] for row in _rows(table, delimiters[table]))

    found = fit(folder, data, cells, ", ".join(readable_name(table.name) for table in tables))

    def read() -> Iterator[Raw]:
        for table, split in tables.items():
            for raw in _read_table(table, delimiters[table], columns, found.files):
                yield raw if split is None else raw._replace(split=split)

    def others() -> Iterator[dict[str, str]]:
        for table in tables:
            for row in _rows(table, delimiters[table]):
                yield {name: cell for name, cell in row.items() if name not in columns.names}

    classes, switches = (columns.labels, len(columns.labels)) if columns.several else (None, None)
    return Source(columns.task, portioned(read), None, classes, found.notes, switches, columns.labels, found.hints, others)


def tables_with_content(folder: Path, data: DataConfig) -> list[Path]:
    """The tables in a folder, if any, that have the column of the content."""
    tables = [folder / name for name in _names_of_tables(folder)]
    return [table for table in tables if data.content in _header(table, _delimiter(table, columns_of(data)))]


def header_of(table: Path, content: str | None) -> list[str]:
    """Names of the columns of a table with that of the content."""
    headers = [_header(table, delimiter) for delimiter in _DELIMITERS]
    return max(headers, key=lambda header: (content in header, len(header)))


def _tables(path: Path, key: str) -> dict[Path, str | None]:
    if path.is_file():
        return {path: None}
    names = _names_of_tables(path)
    if not names:
        raise DataError(f"{path}: no .csv or .tsv file in it; check data.path")
    splits = splits_of_tables(names, path, key, joined=False)
    return {path / name: split for name, split in splits.items()}


def _names_of_tables(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and not is_hidden(file.name))


def _delimiter(table: Path, columns: Columns) -> str:
    """The one of , ; and tab with which the header has all columns that are asked for, or else most columns."""
    headers = {delimiter: _header(table, delimiter) for delimiter in _DELIMITERS}
    return max(headers, key=lambda delimiter: (set(columns.names) <= set(headers[delimiter]), len(headers[delimiter])))


def _header(table: Path, delimiter: str) -> list[str]:
    for _, fields in _lines(table, delimiter):
        return [name.strip() for name in fields] if isinstance(fields, list) else []
    raise DataError(f"{readable_name(table)}: empty; its first line must name the columns")


def _rows(table: Path, delimiter: str) -> Iterator[dict[str, str]]:
    """The cells by column, of the rows that have as many as the header."""
    header = _header(table, delimiter)
    lines = itertools.islice(_lines(table, delimiter), 1, None)
    yield from (
        dict(zip(header, cells, strict=True)) for _, cells in lines if isinstance(cells, list) and len(cells) == len(header)
    )


def _read_table(table: Path, delimiter: str, columns: Columns, files: Files) -> Iterator[Raw]:
    header = _header(table, delimiter)
    lines = _lines(table, delimiter)
    next(lines)
    for number, fields in lines:
        yield _read_row(table, header, files, columns, number, fields)


def _read_row(table: Path, header: list[str], files: Files, columns: Columns, number: int, fields: list[str] | str) -> Raw:
    place = readable_name(table.name)
    if isinstance(fields, str):
        return Raw(place, number, (), None, 0, problem=fields)
    if len(fields) != len(header):
        return Raw(place, number, (), None, 0, problem=f"the line has {len(fields)} fields, the header {len(header)}")
    cells = dict(zip(header, fields, strict=True))
    cell = cells[columns.content]
    try:
        found = files.find(cell)
    except BadSampleError as bad:
        raw = made_raw(columns, cells, one_line(cell.strip()) or place, number, None, 0)
        return raw._replace(problem=raw.problem or str(bad))
    return made_raw(columns, cells, readable_name(found.path), number, files.place(found), found.num_bytes)


def _lines(table: Path, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Line number and fields, or what is wrong with the line; blank lines are none. DataError where the rest can't be read."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            while True:
                number = reader.line_num + 1
                try:
                    fields = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    if "unexpected end" in str(error):
                        raise DataError(
                            f"{readable_name(table)}, line {number}: a quote is opened here and never closed; close or "
                            "double it"
                        ) from None
                    yield number, f"not a line of CSV ({error})"
                else:
                    if fields:
                        yield number, fields
    except UnicodeDecodeError as error:
        raise not_utf8(table, error) from None
    except OSError as error:
        raise DataError(f"{readable_name(table)}: can't be read ({error.strerror})") from None
