"""Tables whose rows, or cells, are the samples: CSV, TSV and JSON lines, also with .gz, and Parquet; all is read as text.

"007" stays what it is, "NA" is a text like any other, and no line is skipped unseen. Rows come in portions of some megabytes,
with the contents of each as one batch: its columns but those of labels, splits, groups and times, or the one of the content.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import DataError
from pipeline.kinds.words import quoted, shell_word
from pipeline.prepare.raw import Column, Portion, Raw, Source, portion_of
from pipeline.prepare.sources.columns import check_columns
from pipeline.prepare.sources.encoding import not_utf8
from pipeline.prepare.sources.given import check_labelled, splits_of_tables
from pipeline.prepare.sources.headless import LOOKED_AT, Headless, headless, refusal
from pipeline.prepare.sources.layout import is_hidden, key_of, readable_name
from pipeline.prepare.sources.lines import LINES, batches_of_lines, columns_of_lines, is_lines, rows_of_lines
from pipeline.prepare.sources.table import Columns, check_content, columns_of, made_raw, unlabelled
from pipeline.processes import one_line
from pipeline.schema.base import nearest
from pipeline.schema.data import DataConfig
from pipeline.wording import counted, first_of, some

if TYPE_CHECKING:
    import pyarrow as pa

_TYPES = ("number", "category", "date", "ignore")
"""Keys that name columns."""
_DELIMITERS = ",;\t|"
SUFFIXES = (".csv", ".tsv", ".tab", ".csv.gz", ".tsv.gz", ".parquet", *LINES)
ALL_SUFFIXES = (*SUFFIXES, ".txt")
"""In a folder of tables whose rows are the samples."""
_PORTION_BYTES = 4 * 2**20
_SHOWN = 6
_FIRST_LINES = 100
_BREAK, _LAST_BLANK, _FIRST_WIDE = ord("\n"), ord(" "), 0x80
_NONE = np.empty(0, np.int64)


@dataclass(frozen=True)
class _Table:
    """A file of rows."""

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


def open_table(path: Path, data: DataConfig) -> Source:
    """The rows of a table, or of the tables in a folder: one alone, or one for each split that their names say."""
    columns, key = columns_of(data), key_of(path, data)
    header: list[str] | None = getattr(data, "header", None)
    tables = [_table(place, split, columns, header) for place, split in _places(path, key).items()]
    if path.is_dir():
        lacking = [table.path.name for table in tables if not {*columns.labels} <= {*table.names}]
        check_labelled(lacking, {table.path.name: table.split for table in tables}, path, columns.labels)
    for table in tables:
        _check_header(table, columns, header)
        check_columns(columns, table.names, table.path, key, partial(_first_rows, table))
    first = _trained(data, columns, header)
    ignored = {*columns.names, *getattr(data, "ignore", ())}
    features = [columns.content] if columns.content else _features(first, tables, ignored)
    beside = [name for name in first.names if name and name not in ignored] if columns.content else features
    _check_named(first, data)

    def read() -> Iterator[Portion]:
        for table in tables:
            yield from _portions(table, columns, features)

    def others() -> Iterator[Mapping[str, object]]:
        for table in tables:
            yield from ({name: row[name] for name in beside if name in row} for row in _first_rows(table))

    several = (columns.labels, len(columns.labels), ()) if columns.several else (None, None, columns.labels)
    classes, switches, named = several
    nameless = [] if columns.content else [i for i, name in enumerate(first.names, start=1) if not name]
    notes = [f"column {i} has no name, so it is left out" for i in nameless]
    notes += [f"{table.path.name}: quotes are characters like any other, since not all are closed in their cell"
              for table in tables if not table.quoted]  # fmt: skip
    return Source(columns.task, read, None, classes, tuple(notes), switches, named, cells=others)


def open_rows(path: Path, data: DataConfig) -> Source:
    """The rows of a table, whose labels nobody knows: where they have a column, it is as good as any other."""
    columns, header = columns_of(unlabelled(data)), getattr(data, "header", None)
    table = _table(path, None, columns, _without(columns_of(data).labels, header, path) if header else None)
    _check_header(table, columns, header)
    check_content(table.names, data)
    names = [columns.content] if columns.content else [name for name in table.names if name]
    return Source(columns.task, lambda: _portions(table, columns, names), None, None)


def _without(labels: Sequence[str], header: list[str], path: Path) -> list[str]:
    """The names of the columns, without those of labels where the first line has no cells for them."""
    plain = not (_is_parquet(path) or is_lines(path))
    widths = {len(_first_line(path, delimiter)) for delimiter in _DELIMITERS} if plain else set()
    shorter = [name for name in header if name not in labels]
    return shorter if len(header) not in widths and len(shorter) in widths else header


def _trained(data: DataConfig, columns: Columns, header: list[str] | None) -> _Table:
    """The first table of the training samples: its columns are those of all."""
    key = "path" if data.path else "train_path"
    path = Path(str(getattr(data, key)))
    places = _places(path, f"data.{key}")
    first = next(place for place, split in places.items() if split in (None, "train"))
    return _table(first, None, columns, header)


def _places(path: Path, key: str) -> dict[Path, str | None]:
    if path.is_file():
        return {path: None}
    files = (file for file in path.iterdir() if not is_hidden(file.name))
    names = sorted(file.name for file in files if file.name.lower().endswith(ALL_SUFFIXES))
    if not names:
        raise DataError(f"{path}: no table in it ({', '.join(SUFFIXES)}); check data.path")
    return {path / name: split for name, split in splits_of_tables(names, path, key, joined=False).items()}


def _table(path: Path, split: str | None, columns: Columns, header: list[str] | None) -> _Table:
    if _is_parquet(path):
        return _Table(path, split, list(_parquet(path).schema_arrow.names), None, headed=True)
    if is_lines(path):
        return _Table(path, split, columns_of_lines(path), None, headed=True)
    found = {delimiter: _first_line(path, delimiter) for delimiter in _delimiters(path)}
    if header:
        delimiter = max(found, key=lambda delimiter: (len(found[delimiter]) == len(header), len(found[delimiter])))
        return _checked(_Table(path, split, header, delimiter, headed=False))
    needed = set(columns.names)
    delimiter = max(found, key=lambda delimiter: (needed <= set(found[delimiter]), len(found[delimiter])))
    return _checked(_Table(path, split, found[delimiter], delimiter, headed=True))


def _delimiters(path: Path) -> str:
    """The one that its name says first, which is taken where others fit as well."""
    return "\t,;|" if {".tsv", ".tab"} & {*map(str.lower, path.suffixes)} else _DELIMITERS


def _checked(table: _Table) -> _Table:
    """Without quoting where cells between tabs have quotes that enclose nothing, as texts have where nobody quotes them.

    Then every line must have as many cells as there are names, which lines that were broken inside of quotes have not.
    """
    if table.delimiter != "\t":
        return table
    loose = False
    with _text(table.path) as file:
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


def _check_header(table: _Table, columns: Columns, header: list[str] | None) -> None:
    """DataError where names are not what they should be."""
    if header:
        _check_fields(table)
    found = None if table.delimiter is None or header else headless(table.names, _first_lines(table))
    known = set(columns.labels) <= set(table.names)
    twice = sorted({name for name in table.names if name and table.names.count(name) > 1})
    if found and (twice or found.surely or not known):
        lacking = "" if known else f"no column {columns.labels[0]!r}; "
        raise DataError(f"{readable_name(table.path)}: {lacking}{refusal(found, _naming(found, columns, known))}")
    if twice:
        raise DataError(f"{readable_name(table.path)}: two columns are named {twice[0]!r}; rename one in its first line")


def _naming(found: Headless, columns: Columns, known: bool) -> str:
    """The command that names the columns. known: whether the label's key names a cell of the first line."""
    words = {"data.label": "label"} if known else {}
    if columns.content in found.line:
        words[f"data.{columns.content_key}"] = "text"
    beside = "".join(f"{key}={name} " for key, name in words.items())
    return found.command("label" if known else columns.labels[0], words.get("data.text", columns.content), beside)


def _check_fields(table: _Table) -> None:
    """DataError where the first lines have other fields than `data.header` has names, or the first one is these names."""
    with _text(table.path) as file:
        lines = [line for line in itertools.islice(csv.reader(file, delimiter=table.delimiter or ","), _FIRST_LINES) if line]
    place, num = readable_name(table.path), len(table.names)
    if lines and [field.strip() for field in lines[0]] == table.names:
        raise DataError(f"{place}: its first line has the names of data.header; leave that out: regatta run '~data.header'")
    if lines and all(len(line) != num for line in lines):
        fields = Counter(map(len, lines)).most_common(1)[0][0]
        example = next(line for line in lines if len(line) == fields)
        raise DataError(
            f"{place}: data.header has {counted(num, 'name')}, and a line has {counted(fields, 'field')} "
            f"({first_of(list(map(one_line, example)), _SHOWN)}); give each a name: "
            f"regatta run {shell_word(_named_header(table.names, fields))}"
        )


def _named_header(names: Sequence[str], num: int) -> str:
    """The words for as many names as there are fields, with those that are known."""
    more = (f"c{i + 1}" for i in range(len(names), num))
    return f"data.header=[{','.join(map(quoted, [*names, *more][:num]))}]"


def _features(first: _Table, tables: Sequence[_Table], ignored: set[str]) -> list[str]:
    """The columns that are contents: those of the first table of training, which all must have."""
    features = [name for name in first.names if name and name not in ignored]
    for table in tables:
        lacking = [name for name in features if name not in table.names]
        if lacking:
            raise DataError(
                f"{readable_name(table.path)}: no column {', '.join(map(repr, lacking[:_SHOWN]))}, which "
                f"{first.path.name} has; take the same columns in all tables, or say "
                f"data.ignore=[{','.join(map(quoted, lacking))}]"
            )
    if not features:
        raise DataError(f"{readable_name(first.path)}: no column beside the label's; a row needs something to learn from")
    return features


def _check_named(table: _Table, data: DataConfig) -> None:
    """DataError where a key gives a type to a column that there is none of."""
    for key in _TYPES:
        for name in getattr(data, key, ()):
            if name not in table.names:
                near = nearest(name, table.names)
                hint = f"did you mean {near!r}?" if near else f"it has {some(table.names, 'column', 40)};"
                forget = f"`regatta run '~data.{key}'` forgets that key"
                raise DataError(f"data.{key}: there is no column {name!r} in {readable_name(table.path)}; {hint} {forget}")


def _portions(table: _Table, columns: Columns, features: Sequence[str]) -> Iterator[Portion]:
    read = _csv_batches if table.delimiter else _line_batches if is_lines(table.path) else _parquet_batches
    with _damage_told(table):
        for batch, rows, bad in read(table, list(dict.fromkeys([*columns.names, *features]))):
            if len(batch):
                yield _portion(batch, rows, table, columns, features)
            if bad:
                yield portion_of([Raw(_name(table), row, (), None, 0, table.split, problem=said) for row, said in bad])


def _name(table: _Table) -> str:
    return readable_name(table.path.name)


def _portion(batch: pa.RecordBatch, rows: Column, table: _Table, columns: Columns, features: Sequence[str]) -> Portion:
    """Rows as samples; what the cells beside the contents say is made out once for each that differs."""
    names = [name for name in columns.names if name != columns.content]
    first, same = _different([batch[name] for name in names], len(batch))
    cells = [{name: batch[name][i].as_py() for name in names} for i in first.tolist()]
    portion = portion_of([made_raw(columns, own, _name(table), 0, None, 0) for own in cells]).taken(same)
    contents = batch.select(list(features))
    size = max(1, contents.nbytes // len(batch))
    splits = replace(portion.splits, values=[split or table.split for split in portion.splits.values])
    return replace(portion, rows=rows, contents=contents, num_bytes=np.full(len(batch), size), splits=splits)


def _different(columns: Sequence[pa.Array], num: int) -> tuple[Column, Column]:
    """Places of the different rows, in the order in which they come first, and by row (n,) which of them it is."""
    first, same = np.zeros(1, np.int64), np.zeros(num, np.int64)
    for column in columns:
        coded = column.dictionary_encode()
        same = same * len(coded.dictionary) + coded.indices.to_numpy()
        _, first, same = np.unique(same, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[same]


_Batches = Iterator[tuple["pa.RecordBatch", Column, list[tuple[int, str]]]]
"""Rows of text, the number of each, and the numbers of what are no rows, with the reason."""


def _csv_batches(table: _Table, names: Sequence[str]) -> _Batches:
    """Rows, numbered by the line on which they begin."""
    import pyarrow as pa
    from pyarrow import csv as pacsv

    assert table.delimiter is not None
    places = [str(i) for i in range(len(table.names))]
    wanted = {name: str(table.names.index(name)) for name in names}
    places_of, bad, before = _Lines(), list[Any](), _num_blank(table.path) if table.headed else 0

    def refused(row: Any) -> str:
        bad.append(row)
        return "skip"

    read = pacsv.ReadOptions(
        use_threads=False, column_names=places, skip_rows_after_names=before + int(table.headed), block_size=_block_size(table)
    )
    quotes = {"newlines_in_values": True} if table.quoted else {"quote_char": False, "double_quote": False}
    parse = pacsv.ParseOptions(delimiter=table.delimiter, ignore_empty_lines=False, invalid_row_handler=refused, **quotes)
    convert = pacsv.ConvertOptions(column_types=dict.fromkeys(places, pa.string()), strings_can_be_null=False)
    with _stream(table.path) as stream, pacsv.open_csv(stream, read, parse, convert) as opened:
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


def _block_size(table: _Table) -> int:
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

    def begin(self, table: _Table, blank: int) -> None:
        """After the line of names, and the blank ones before it."""
        if table.headed:
            self.record += blank
            self.line += (
                blank + 1 + sum(name.count("\n") for name in _first_line(table.path, table.delimiter or ",", strip=False))
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


def _check_closed(table: _Table, places_of: _Lines) -> None:
    """DataError where a quote was opened and never closed: then all that follows was taken as one cell of the last row."""
    if not places_of.last_broken:
        return
    with _text(table.path) as file:
        reader, number = csv.reader(file, delimiter=table.delimiter or ",", strict=False), 1
        last = number
        for _ in reader:
            last, number = number, reader.line_num + 1
    with _text(table.path) as file:
        if "".join(itertools.islice(file, last - 1, None)).count('"') % 2:
            raise DataError(_UNCLOSED.format(readable_name(table.path), last))


_UNCLOSED = "{}, line {}: a quote is opened here and never closed; close or double it"


def _line_batches(table: _Table, names: Sequence[str]) -> _Batches:
    """Rows, numbered by their lines."""
    import pyarrow as pa

    for portion in batches_of_lines(table.path, _PORTION_BYTES):
        good = [(number, cells) for number, cells in portion if isinstance(cells, dict)]
        bad = [(number, cells) for number, cells in portion if isinstance(cells, str)]
        texts = [pa.array([cells.get(name, "") for _, cells in good], pa.string()) for name in names]
        yield pa.RecordBatch.from_arrays(texts, list(names)), np.array([number for number, _ in good], np.int64), bad


def _parquet_batches(table: _Table, names: Sequence[str]) -> _Batches:
    """Rows, numbered from 0."""
    import pyarrow as pa

    opened, row = _parquet(table.path), 0
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


def _check_cells(table: _Table, schema: pa.Schema, names: Sequence[str]) -> None:
    import pyarrow.types as pt

    for name in names:
        kind = schema.field(name).type
        if pt.is_nested(kind) or pt.is_binary(kind) or pt.is_large_binary(kind):
            raise DataError(
                f"{readable_name(table.path)}: column {name!r} is of type {kind}, which is no cell of a table; leave it out "
                f"with data.ignore=[{quoted(name)}], or read images with data=parquet"
            )


def _is_parquet(path: Path) -> bool:
    with _readable(path), path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{readable_name(path)}: not a whole Parquet file ({error}); get it again") from None


def _first_line(path: Path, delimiter: str, strip: bool = True) -> list[str]:
    """The fields of the first line that is not blank."""
    with _text(path) as file:
        for fields in csv.reader(file, delimiter=delimiter):
            if fields:
                return [field.strip() for field in fields] if strip else fields
    raise DataError(f"{readable_name(path)}: empty; its first line must name the columns")


def _num_blank(path: Path) -> int:
    """Blank lines before the first one that is not."""
    with _text(path) as file:
        return sum(1 for _ in itertools.takewhile(lambda line: not line.strip("\r\n"), file))


def _first_rows(table: _Table) -> Iterator[Mapping[str, object]]:
    """The cells by column of the rows that are whole."""
    if table.delimiter is None and is_lines(table.path):
        yield from (cells for _, cells in rows_of_lines(table.path) if isinstance(cells, dict))
        return
    if table.delimiter is None:
        for batch in _parquet(table.path).iter_batches(1024):
            yield from batch.to_pylist()
        return
    with _text(table.path) as file:
        reader = partial(csv.reader, file, delimiter=table.delimiter)
        rows = itertools.islice(reader() if table.quoted else reader(quoting=csv.QUOTE_NONE), int(table.headed), None)
        yield from (dict(zip(table.names, row, strict=True)) for row in rows if len(row) == len(table.names))


def _first_lines(table: _Table) -> list[list[str]]:
    """The cells of the first rows after the line of names."""
    with _text(table.path) as file:
        reader = partial(csv.reader, file, delimiter=table.delimiter or ",")
        lines = reader() if table.quoted else reader(quoting=csv.QUOTE_NONE)
        rows = itertools.islice((row for row in lines if row), 1, 1 + LOOKED_AT)
        return [[cell.strip() for cell in row] for row in rows]


def first_headless(path: Path) -> Headless | None:
    """What speaks for a row in the first line of a CSV or TSV."""
    if is_lines(path):
        return None
    table = _guessed(path)
    return headless(table.names, _first_lines(table))


def first_line(path: Path) -> list[str]:
    """The fields of the first line of a CSV or TSV."""
    return max((_first_line(path, delimiter) for delimiter in _DELIMITERS), key=len)


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
    return [{name: str(cell) for name, cell in row.items()} for row in itertools.islice(_first_rows(table), num)]


def _guessed(path: Path) -> _Table:
    """A CSV or TSV, whatever is meant by its columns."""
    found = {delimiter: _first_line(path, delimiter) for delimiter in _DELIMITERS}
    tabs = ".tsv" in path.suffixes and len(found["\t"]) > 1
    delimiter = "\t" if tabs else max(found, key=lambda delimiter: len(found[delimiter]))
    return _checked(_Table(path, None, found[delimiter], delimiter, headed=True))


@contextmanager
def _text(path: Path) -> Iterator[io.TextIOWrapper]:
    """The text of a table, unpacked."""
    csv.field_size_limit(sys.maxsize)  # a text may be longer than 128 kB
    opener: Callable[..., Any] = gzip.open if _is_packed(path) else open
    with _readable(path), opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        yield file


@contextmanager
def _stream(path: Path) -> Iterator[Any]:
    import pyarrow as pa

    with pa.input_stream(str(path), compression="gzip" if _is_packed(path) else None) as stream:
        yield stream


def _is_packed(path: Path) -> bool:
    with _readable(path), path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from None
    except EOFError:
        raise DataError(f"{readable_name(path)}: the .gz is cut short; get it again") from None
    except csv.Error as error:
        raise DataError(f"{readable_name(path)}: not a table ({error})") from None
    except OSError as error:
        raise DataError(f"{readable_name(path)}: can't be read ({error.strerror or error})") from None


@contextmanager
def _damage_told(table: _Table) -> Iterator[None]:
    """What Arrow says of a table that it can't read to its end, with the line where that can be found."""
    import pyarrow as pa

    try:
        yield
    except pa.ArrowException as error:
        said = " ".join(str(error).split())
        if table.delimiter is not None:
            _tell_where(table)
        if "UTF8" in said:
            _check_utf8(table.path)
        raise DataError(f"{readable_name(table.path)}: can't be read to its end ({said}); get it again") from None


def _check_utf8(path: Path) -> None:
    """DataError at the first byte that is no text."""
    with _text(path) as file:
        for _ in file:
            pass


def _tell_where(table: _Table) -> None:
    """DataError at the first line that is no text, or at a quote that is never closed."""
    with _text(table.path) as file:
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
