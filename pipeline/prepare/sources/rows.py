"""Tables whose rows, or cells, are the samples: CSV, TSV and JSON lines, also with .gz, and Parquet; all is read as text.

"007" stays what it is, "NA" is a text like any other, and no line is skipped unseen. Rows come in portions of some megabytes,
with the contents of each as one batch: its columns but those of labels, splits, groups and times, or the one of the content.
"""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import DataError
from pipeline.kinds.words import quoted, shell_word
from pipeline.prepare.raw import Column, Portion, Raw, Source, portion_of
from pipeline.prepare.sources.columns import check_columns
from pipeline.prepare.sources.given import check_labelled, splits_of_tables
from pipeline.prepare.sources.headless import Headless, headless, refusal
from pipeline.prepare.sources.layout import is_hidden, key_of, readable_name
from pipeline.prepare.sources.lines import LINES, is_lines
from pipeline.prepare.sources.opened import text
from pipeline.prepare.sources.row_batches import batches_of
from pipeline.prepare.sources.row_files import (
    DELIMITERS,
    RowFile,
    fields_of_first_line,
    first_lines,
    is_parquet,
    row_file,
    whole_rows,
)
from pipeline.prepare.sources.table import Columns, check_content, columns_of, made_raw, unlabelled
from pipeline.processes import one_line
from pipeline.schema.base import nearest
from pipeline.schema.data import DataConfig
from pipeline.wording import counted, first_of, some

if TYPE_CHECKING:
    import pyarrow as pa

_TYPES = ("number", "category", "date", "ignore")
"""Keys that name columns."""
SUFFIXES = (".csv", ".tsv", ".tab", ".csv.gz", ".tsv.gz", ".parquet", *LINES)
ALL_SUFFIXES = (*SUFFIXES, ".txt")
"""In a folder of tables whose rows are the samples."""
_SHOWN = 6
_FIRST_LINES = 100


def open_table(path: Path, data: DataConfig) -> Source:
    """The rows of a table, or of the tables in a folder: one alone, or one for each split that their names say."""
    columns, key = columns_of(data), key_of(path, data)
    header: list[str] | None = getattr(data, "header", None)
    tables = [row_file(place, split, columns, header) for place, split in _places(path, key).items()]
    if path.is_dir():
        lacking = [table.path.name for table in tables if not {*columns.labels} <= {*table.names}]
        check_labelled(lacking, {table.path.name: table.split for table in tables}, path, columns.labels)
    for table in tables:
        _check_header(table, columns, header)
        check_columns(columns, table.names, table.path, key, partial(whole_rows, table))
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
            yield from ({name: row[name] for name in beside if name in row} for row in whole_rows(table))

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
    table = row_file(path, None, columns, _without(columns_of(data).labels, header, path) if header else None)
    _check_header(table, columns, header)
    check_content(table.names, data)
    names = [columns.content] if columns.content else [name for name in table.names if name]
    return Source(columns.task, lambda: _portions(table, columns, names), None, None)


def _without(labels: Sequence[str], header: list[str], path: Path) -> list[str]:
    """The names of the columns, without those of labels where the first line has no cells for them."""
    plain = not (is_parquet(path) or is_lines(path))
    widths = {len(fields_of_first_line(path, delimiter)) for delimiter in DELIMITERS} if plain else set()
    shorter = [name for name in header if name not in labels]
    return shorter if len(header) not in widths and len(shorter) in widths else header


def _trained(data: DataConfig, columns: Columns, header: list[str] | None) -> RowFile:
    """The first table of the training samples: its columns are those of all."""
    key = "path" if data.path else "train_path"
    path = Path(str(getattr(data, key)))
    places = _places(path, f"data.{key}")
    first = next(place for place, split in places.items() if split in (None, "train"))
    return row_file(first, None, columns, header)


def _places(path: Path, key: str) -> dict[Path, str | None]:
    if path.is_file():
        return {path: None}
    files = (file for file in path.iterdir() if not is_hidden(file.name))
    names = sorted(file.name for file in files if file.name.lower().endswith(ALL_SUFFIXES))
    if not names:
        raise DataError(f"{path}: no table in it ({', '.join(SUFFIXES)}); check data.path")
    return {path / name: split for name, split in splits_of_tables(names, path, key, joined=False).items()}


def _check_header(table: RowFile, columns: Columns, header: list[str] | None) -> None:
    """DataError where names are not what they should be."""
    if header:
        _check_fields(table)
    found = None if table.delimiter is None or header else headless(table.names, first_lines(table))
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


def _check_fields(table: RowFile) -> None:
    """DataError where the first lines have other fields than `data.header` has names, or the first one is these names."""
    with text(table.path) as file:
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


def _features(first: RowFile, tables: Sequence[RowFile], ignored: set[str]) -> list[str]:
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


def _check_named(table: RowFile, data: DataConfig) -> None:
    """DataError where a key gives a type to a column that there is none of."""
    for key in _TYPES:
        for name in getattr(data, key, ()):
            if name not in table.names:
                near = nearest(name, table.names)
                hint = f"did you mean {near!r}?" if near else f"it has {some(table.names, 'column', 40)};"
                forget = f"`regatta run '~data.{key}'` forgets that key"
                raise DataError(f"data.{key}: there is no column {name!r} in {readable_name(table.path)}; {hint} {forget}")


def _portions(table: RowFile, columns: Columns, features: Sequence[str]) -> Iterator[Portion]:
    for batch, rows, bad in batches_of(table, list(dict.fromkeys([*columns.names, *features]))):
        if len(batch):
            yield _portion(batch, rows, table, columns, features)
        if bad:
            yield portion_of([Raw(_name(table), row, (), None, 0, table.split, problem=said) for row, said in bad])


def _name(table: RowFile) -> str:
    return readable_name(table.path.name)


def _portion(batch: pa.RecordBatch, rows: Column, table: RowFile, columns: Columns, features: Sequence[str]) -> Portion:
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
