"""A file of rows: which columns it has, how its cells are told apart, and its first rows."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.prepare.sources.headless import LOOKED_AT, Headless, headless
from pipeline.prepare.sources.layout import readable_name
from pipeline.prepare.sources.lines import columns_of_lines, is_lines, rows_of_lines
from pipeline.prepare.sources.opened import readable, text
from pipeline.prepare.sources.table import Columns

DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class RowFile:
    """A table whose rows, or cells, are samples."""

    path: Path
    split: str | None
    names: list[str]
    """Of its columns."""
    delimiter: str | None
    """Of a CSV; None: a Parquet file, or JSON lines."""
    headed: bool
    """Whether the first line holds the names."""
    quoted: bool = True
    """Of a CSV: whether quotes enclose cells; else they are characters like any other."""


def row_file(path: Path, split: str | None, columns: Columns, header: list[str] | None) -> RowFile:
    if is_parquet(path):
        return RowFile(path, split, list(parquet_file(path).schema_arrow.names), None, headed=True)
    if is_lines(path):
        return RowFile(path, split, columns_of_lines(path), None, headed=True)
    found = {delimiter: fields_of_first_line(path, delimiter) for delimiter in _delimiters(path)}
    if header:
        delimiter = max(found, key=lambda delimiter: (len(found[delimiter]) == len(header), len(found[delimiter])))
        return _checked(RowFile(path, split, header, delimiter, headed=False))
    needed = set(columns.names)
    delimiter = max(found, key=lambda delimiter: (needed <= set(found[delimiter]), len(found[delimiter])))
    return _checked(RowFile(path, split, found[delimiter], delimiter, headed=True))


def _delimiters(path: Path) -> str:
    """The one that its name says first, which is taken where others fit as well."""
    return "\t,;|" if {".tsv", ".tab"} & {*map(str.lower, path.suffixes)} else DELIMITERS


def _checked(table: RowFile) -> RowFile:
    """Without quoting where cells between tabs have quotes that enclose nothing, as texts have where nobody quotes them.

    Then every line must have as many cells as there are names, which lines that were broken inside of quotes have not.
    """
    if table.delimiter != "\t":
        return table
    loose = False
    with text(table.path) as file:
        for line in file:
            if '"' in line or line.count("\t") + 1 != len(table.names):
                cells = line.rstrip("\r\n").split("\t")
                if len(cells) != len(table.names) and line.strip():
                    return table
                loose = loose or any(map(_is_loose, cells))
    return replace(table, quoted=not loose)


def _is_loose(cell: str) -> bool:
    """Whether it begins with a quote that is not closed at its end, or has single ones inside."""
    inner = cell[1:-1].replace('""', "")
    return cell.startswith('"') and (len(cell) < 2 or not cell.endswith('"') or '"' in inner)


def is_parquet(path: Path) -> bool:
    with readable(path), path.open("rb") as file:
        return file.read(4) == b"PAR1"


def parquet_file(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{readable_name(path)}: not a whole Parquet file ({error}); get it again") from None


def fields_of_first_line(path: Path, delimiter: str, strip: bool = True) -> list[str]:
    """The fields of the first line that is not blank."""
    with text(path) as file:
        for fields in csv.reader(file, delimiter=delimiter):
            if fields:
                return [field.strip() for field in fields] if strip else fields
    raise DataError(f"{readable_name(path)}: empty; its first line must name the columns")


def num_blank(path: Path) -> int:
    """Blank lines before the first one that is not."""
    with text(path) as file:
        return sum(1 for _ in itertools.takewhile(lambda line: not line.strip("\r\n"), file))


def whole_rows(table: RowFile) -> Iterator[Mapping[str, object]]:
    """The cells by column of the rows that are whole."""
    if table.delimiter is None and is_lines(table.path):
        yield from (cells for _, cells in rows_of_lines(table.path) if isinstance(cells, dict))
        return
    if table.delimiter is None:
        for batch in parquet_file(table.path).iter_batches(1024):
            yield from batch.to_pylist()
        return
    with text(table.path) as file:
        reader = partial(csv.reader, file, delimiter=table.delimiter)
        rows = itertools.islice(reader() if table.quoted else reader(quoting=csv.QUOTE_NONE), int(table.headed), None)
        yield from (dict(zip(table.names, row, strict=True)) for row in rows if len(row) == len(table.names))


def first_lines(table: RowFile) -> list[list[str]]:
    """The cells of the first rows after the line of names."""
    with text(table.path) as file:
        reader = partial(csv.reader, file, delimiter=table.delimiter or ",")
        lines = reader() if table.quoted else reader(quoting=csv.QUOTE_NONE)
        rows = itertools.islice((row for row in lines if row), 1, 1 + LOOKED_AT)
        return [[cell.strip() for cell in row] for row in rows]


def first_headless(path: Path) -> Headless | None:
    """What speaks for a row in the first line of a CSV or TSV."""
    if is_lines(path):
        return None
    table = _guessed(path)
    return headless(table.names, first_lines(table))


def first_line(path: Path) -> list[str]:
    """The fields of the first line of a CSV or TSV."""
    return max((fields_of_first_line(path, delimiter) for delimiter in DELIMITERS), key=len)


def first_rows(path: Path, header: Sequence[str] = (), num: int = 200) -> list[dict[str, str]]:
    """The cells by column of the first rows of a CSV, TSV or of JSON lines, whatever is meant by them.

    header: the names of a CSV's columns, where its first line names none.
    """
    if is_lines(path):
        names = columns_of_lines(path)
        first = itertools.islice((cells for _, cells in rows_of_lines(path) if isinstance(cells, dict)), num)
        return [{name: cells.get(name, "") for name in names} for cells in first]
    table = _guessed(path)
    if len(header) == len(table.names):
        table = replace(table, names=[*header], headed=False)
    return [{name: str(cell) for name, cell in row.items()} for row in itertools.islice(whole_rows(table), num)]


def _guessed(path: Path) -> RowFile:
    """A CSV or TSV, whatever is meant by its columns."""
    found = {delimiter: fields_of_first_line(path, delimiter) for delimiter in DELIMITERS}
    tabs = ".tsv" in path.suffixes and len(found["\t"]) > 1
    delimiter = "\t" if tabs else max(found, key=lambda delimiter: len(found[delimiter]))
    return _checked(RowFile(path, None, found[delimiter], delimiter, headed=True))
