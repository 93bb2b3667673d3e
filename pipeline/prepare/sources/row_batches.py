"""The cells of a file of rows in portions of some megabytes, all as text, with the number of each row and what is none."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import DataError
from pipeline.kinds.words import quoted
from pipeline.prepare.raw import Column
from pipeline.prepare.sources.layout import readable_name
from pipeline.prepare.sources.lines import batches_of_lines, is_lines
from pipeline.prepare.sources.opened import check_utf8, stream, text
from pipeline.prepare.sources.row_files import RowFile, fields_of_first_line, num_blank, parquet_file

if TYPE_CHECKING:
    import pyarrow as pa

_PORTION_BYTES = 4 * 2**20
_BREAK, _LAST_BLANK, _FIRST_WIDE = ord("\n"), ord(" "), 0x80
_NONE = np.empty(0, np.int64)


Batches = Iterator[tuple["pa.RecordBatch", Column, list[tuple[int, str]]]]
"""Rows of text, the number of each, and the numbers of what are no rows, with the reason."""


def batches_of(table: RowFile, names: Sequence[str]) -> Batches:
    """The cells of some columns; DataError where the file can't be read to its end."""
    read = _csv_batches if table.delimiter else _line_batches if is_lines(table.path) else _parquet_batches
    with _damage_told(table):
        yield from read(table, names)


def _csv_batches(table: RowFile, names: Sequence[str]) -> Batches:
    """Rows, numbered by the line on which they begin."""
    import pyarrow as pa
    from pyarrow import csv as pacsv

    assert table.delimiter is not None
    places = [str(i) for i in range(len(table.names))]
    wanted = {name: str(table.names.index(name)) for name in names}
    places_of, bad, before = _Lines(), list[Any](), num_blank(table.path) if table.headed else 0

    def refused(row: Any) -> str:
        bad.append(row)
        return "skip"

    read = pacsv.ReadOptions(
        use_threads=False, column_names=places, skip_rows_after_names=before + int(table.headed), block_size=_block_size(table)
    )
    quotes = {"newlines_in_values": True} if table.quoted else {"quote_char": False, "double_quote": False}
    parse = pacsv.ParseOptions(delimiter=table.delimiter, ignore_empty_lines=False, invalid_row_handler=refused, **quotes)
    convert = pacsv.ConvertOptions(column_types=dict.fromkeys(places, pa.string()), strings_can_be_null=False)
    with stream(table.path) as content, pacsv.open_csv(content, read, parse, convert) as opened:
        places_of.begin(table, before)
        for batch in opened:
            rows, problems, blank = places_of.of(batch.columns, bad)
            bad.clear()
            chosen = pa.RecordBatch.from_arrays([_trimmed(batch[wanted[name]]) for name in names], list(names))
            if blank.any():
                chosen, rows = chosen.filter(pa.array(~blank)), rows[~blank]
            yield chosen, rows, problems
        if bad:
            none = pa.RecordBatch.from_arrays([pa.array([], pa.string())] * len(names), list(names))
            yield none, _NONE, places_of.of([], bad)[1]
    _check_closed(table, places_of)


def _block_size(table: RowFile) -> int:
    """Portions of many columns are larger, so that they have many rows all the same."""
    return _PORTION_BYTES * max(1, len(table.names) // 1000)


def _trimmed(column: pa.Array) -> pa.Array:
    """Cells without white space around them, missing ones as empty texts."""
    import pyarrow.compute as pc

    filled = pc.fill_null(column, "") if column.null_count else column
    return pc.utf8_trim_whitespace(filled) if _may_have_blanks(filled) else filled


def _may_have_blanks(column: pa.Array) -> bool:
    """Whether any cell begins or ends with a byte that may be of white space: trimming all costs as much as reading them."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    first, last = ends[:-1], ends[1:] - 1
    there = first <= last
    if not there.all():
        first, last = first[there], last[there]
    texts = np.frombuffer(data or b"", np.uint8)
    outer = [texts[places] for places in (first, last) if len(places)]
    return any(own.min() <= _LAST_BLANK or own.max() >= _FIRST_WIDE for own in outer)


class _Lines:
    """On which line each row begins: rows as the reader counts them, and the line breaks inside of cells."""

    def __init__(self) -> None:
        self.record, self.line = 1, 1
        self.last_broken = False
        """Whether the last row, or what is none, has a line break in a cell."""

    def begin(self, table: RowFile, blank: int) -> None:
        """After the line of names, and the blank ones before it."""
        if table.headed:
            self.record += blank
            self.line += (
                blank
                + 1
                + sum(name.count("\n") for name in fields_of_first_line(table.path, table.delimiter or ",", strip=False))
            )
            self.record += 1

    def of(self, columns: Sequence[pa.Array], bad: Sequence[Any]) -> tuple[Any, list[tuple[int, str]], Any]:
        """Lines (n,) of a batch's rows, lines of what are no rows and why, and which rows (n,) are blank."""
        num = len(columns[0]) if columns else 0
        breaks, blank = _breaks(columns, num)
        numbers = {row.number: row for row in bad}
        problems, inside = [], sorted(numbers)
        # Rows and refused ones alternate; each takes a line, and one more for each break inside it.
        records = np.arange(self.record, self.record + num + len(inside))
        good = ~np.isin(records, inside)
        taken = np.ones(len(records), np.int64)
        taken[good] += breaks
        for i in np.flatnonzero(~good).tolist():
            taken[i] += numbers[int(records[i])].text.count("\n")
        starts = self.line + np.cumsum(taken) - taken
        for i in np.flatnonzero(~good).tolist():
            row = numbers[int(records[i])]
            said = f"the line has {row.actual_columns} fields, the header {row.expected_columns}"
            problems.append((int(starts[i]), said))
        self.record += len(records)
        self.line += int(taken.sum())
        self.last_broken = bool(len(taken) and taken[-1] > 1)
        return starts[good], problems, blank


def _breaks(columns: Sequence[pa.Array], num: int) -> tuple[Any, Any]:
    """Line breaks inside of the cells of each row (n,), and rows without a single cell (n,): blank lines."""
    import pyarrow.compute as pc

    breaks, blank = np.zeros(num, np.int64), np.ones(num, bool)
    for column in columns:
        if (np.frombuffer(column.buffers()[2] or b"", np.uint8) == _BREAK).any():
            breaks += pc.fill_null(pc.count_substring(column, "\n"), 0).to_numpy(zero_copy_only=False)
        if blank.any():
            blank &= pc.fill_null(pc.equal(column, ""), True).to_numpy(zero_copy_only=False)
    return breaks, blank


def _check_closed(table: RowFile, places_of: _Lines) -> None:
    """DataError where a quote was opened and never closed: then all that follows was taken as one cell of the last row."""
    if not places_of.last_broken:
        return
    with text(table.path) as file:
        reader, number = csv.reader(file, delimiter=table.delimiter or ",", strict=False), 1
        last = number
        for _ in reader:
            last, number = number, reader.line_num + 1
    with text(table.path) as file:
        if "".join(itertools.islice(file, last - 1, None)).count('"') % 2:
            raise DataError(_UNCLOSED.format(readable_name(table.path), last))


_UNCLOSED = "{}, line {}: a quote is opened here and never closed; close or double it"


def _line_batches(table: RowFile, names: Sequence[str]) -> Batches:
    """Rows, numbered by their lines."""
    import pyarrow as pa

    for portion in batches_of_lines(table.path, _PORTION_BYTES):
        good = [(number, cells) for number, cells in portion if isinstance(cells, dict)]
        bad = [(number, cells) for number, cells in portion if isinstance(cells, str)]
        texts = [pa.array([cells.get(name, "") for _, cells in good], pa.string()) for name in names]
        yield pa.RecordBatch.from_arrays(texts, list(names)), np.array([number for number, _ in good], np.int64), bad


def _parquet_batches(table: RowFile, names: Sequence[str]) -> Batches:
    """Rows, numbered from 0."""
    import pyarrow as pa

    opened, row = parquet_file(table.path), 0
    _check_cells(table, opened.schema_arrow, names)
    size = sum(opened.metadata.row_group(i).total_byte_size for i in range(opened.metadata.num_row_groups))
    most = max(1, _PORTION_BYTES * opened.metadata.num_rows // max(size, 1))
    for batch in opened.iter_batches(min(most, 65536), columns=list(names)):
        texts = [_trimmed(_as_text(batch[name])) for name in names]
        yield pa.RecordBatch.from_arrays(texts, list(names)), np.arange(row, row + len(batch)), []
        row += len(batch)


def _as_text(column: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.types as pt

    if pt.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.string())


def _check_cells(table: RowFile, schema: pa.Schema, names: Sequence[str]) -> None:
    import pyarrow.types as pt

    for name in names:
        kind = schema.field(name).type
        if pt.is_nested(kind) or pt.is_binary(kind) or pt.is_large_binary(kind):
            raise DataError(
                f"{readable_name(table.path)}: column {name!r} is of type {kind}, which is no cell of a table; leave it out "
                f"with data.ignore=[{quoted(name)}], or read images with data=parquet"
            )


@contextmanager
def _damage_told(table: RowFile) -> Iterator[None]:
    """What Arrow says of a table that it can't read to its end, with the line where that can be found."""
    import pyarrow as pa

    try:
        yield
    except pa.ArrowException as error:
        said = " ".join(str(error).split())
        if table.delimiter is not None:
            _tell_where(table)
        if "UTF8" in said:
            check_utf8(table.path)
        raise DataError(f"{readable_name(table.path)}: can't be read to its end ({said}); get it again") from None


def _tell_where(table: RowFile) -> None:
    """DataError at the first line that is no text, or at a quote that is never closed."""
    with text(table.path) as file:
        reader, number = csv.reader(file, delimiter=table.delimiter or ",", strict=True), 1
        while True:
            try:
                next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if "unexpected end" in str(error) or "field larger" in str(error):
                    raise DataError(_UNCLOSED.format(readable_name(table.path), number)) from None
            number = reader.line_num + 1
