"""Parquet files with encoded images, arrays or file names, and labels; as Hugging Face's datasets store them, too."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from numpy.typing import NDArray

from pipeline.data.dataset import Task
from pipeline.errors import ConfigError, DataError
from pipeline.kinds.kind import BadSampleError, Content
from pipeline.kinds.reading import sample_reading_of
from pipeline.prepare.labels import cell_text, clean
from pipeline.prepare.raw import Raw, Source, portioned
from pipeline.prepare.sources.columns import check_columns
from pipeline.prepare.sources.fitting import Fit, fit
from pipeline.prepare.sources.given import check_labelled, splits_of_tables
from pipeline.prepare.sources.layout import is_hidden, key_of, readable_name
from pipeline.prepare.sources.table import Columns, columns_of, made_raw
from pipeline.schema.data import DataConfig

_BATCH_BYTES, _MAX_BATCH = 8 * 2**20, 1024
_MAX_CELL_BYTES = 128 * 2**20
_NUMBER_BYTES = 8
_MAX_DECODED_BYTES = 8 * _MAX_CELL_BYTES
"""Of a row group's numbers where they take little room in the file."""
_MAX_RATIO = 100
"""By which a column of more than that may be compressed. Encoded images are not compressible, arrays of pixels some times."""
_PAGE = re.compile(rb"\x15[\x80-\xff]*[\0-\x7f]\x15([\x80-\xff]*[\0-\x7f])", re.DOTALL)


class _File(NamedTuple):
    path: Path
    name: str
    split: str | None
    num_rows: int
    batch_size: int
    task: Task
    names: tuple[str, ...] | None
    """Classes that the labels are numbers of."""
    switches: int | None
    """Length of the label lists where all are of 0 and 1: a 1 says that its place is a label."""
    named: bool
    """Whether rows may hold the names of files instead of images."""


def open_parquet(path: Path, data: DataConfig) -> Source:
    """The rows of a file, or of all files below a folder, whose names may say the split."""
    columns = columns_of(data)
    key = key_of(path, data)
    found = _found(path, key)
    if any(found.values()):
        lacking = [name for name in found if not {*columns.labels} <= {*column_names(path / name)}]
        check_labelled(lacking, found, path, columns.labels)
    files = [_file(path / name, name, split, columns, key) for name, split in found.items()]
    if len({file.task for file in files}) > 1:
        raise DataError(
            f"{path}: column {columns.labels[0]!r} holds lists in some files and single labels in others; store them alike"
        )

    fits = _fits(files, columns.content, data)

    def read() -> Iterator[Raw]:
        for file in files:
            yield from _read_file(file, columns, data, fits.get(file.path.parent))

    def others() -> Iterator[dict[str, object]]:
        for file in files:
            yield from _other_rows(file, columns)

    portions, num_rows = portioned(read), sum(file.num_rows for file in files)
    notes = tuple(note for found in fits.values() for note in found.notes)
    hints = tuple(hint for found in fits.values() for hint in found.hints)
    if columns.numbers:
        return Source("number", portions, num_rows, None, notes, None, columns.labels, hints, others)
    if columns.several:
        return Source("multi", portions, num_rows, columns.labels, notes, len(columns.labels), (), hints, others)
    switches = _common_switches(path, columns.labels[0], files)
    if switches:
        places = tuple(str(i) for i in range(switches))
        notes = (_places_note(columns.labels[0], switches), *notes)
        return Source("multi", portions, num_rows, places, notes, switches, (), hints, others)
    declared = {file.names for file in files}
    names = declared.pop() if len(declared) == 1 else None
    return Source(files[0].task, portions, num_rows, names, notes, None, columns.labels, hints, others)


def first_cells(path: Path, num: int = 20) -> dict[str, list[Any]]:
    """The cells of the first rows by column, whatever is meant by them; of structs with bytes these, else their path."""
    with _opened(path) as file, _undamaged(path, "any"):
        names = file.schema_arrow.names
        _check_sizes(path, file.metadata, names)
        batch = next(file.iter_batches(num), None)
        return {name: [_plain(cell) for cell in batch.column(name).to_pylist()] if batch else [] for name in names}


def rows_in(path: Path) -> int:
    """Of a file, by what it says of itself."""
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def _plain(cell: Any) -> Any:
    return (cell.get("bytes") or cell.get("path")) if isinstance(cell, dict) else cell


def _fits(files: Sequence[_File], column: str, data: DataConfig) -> dict[Path, Fit]:
    """How the names of files are found, by the folder that they are relative to: the table's own."""
    folders = sorted({file.path.parent for file in files if file.named})
    if data.files is not None and not folders:
        raise ConfigError(f"data.files = {data.files}: column {column!r} holds the samples themselves, no names of files")
    found = {}
    for folder in folders:
        here = [file for file in files if file.named and file.path.parent == folder]
        found[folder] = fit(folder, data, partial(_named_files, here, column), ", ".join(file.name for file in here))
    return found


def _named_files(files: Sequence[_File], column: str) -> Iterator[str]:
    for file in files:
        with _undamaged(file.path, column), _opened(file.path) as opened:
            for batch in _batches(opened, file, [column]):
                yield from (image for image in _images(batch.column(column)) if isinstance(image, str))


def _common_switches(path: Path, label: str, files: list[_File]) -> int | None:
    found = {file.switches for file in files if file.num_rows}
    if len(found) > 1:
        raise DataError(
            f"{path}: column {label!r} holds lists of 0 and 1 of one length in some files, other lists or another length "
            "in others; store them alike (class names in lists as text)"
        )
    return found.pop() if found else None


def _places_note(label: str, num: int) -> str:
    return (
        f"column {label!r} holds lists of {num} numbers, all 0 or 1: the place of a 1, counted from 0, is the label; "
        "lists of class names must hold text"
    )


def _found(path: Path, key: str) -> dict[str, str | None]:
    if path.is_file():
        return {"": None}
    names = sorted(str(file.relative_to(path)) for file in path.rglob("*.parquet") if not is_hidden(file.name))
    if not names:
        raise DataError(f"{path}: no .parquet file in it; check data.path")
    return splits_of_tables(names, path, key, joined=True)


def column_names(path: Path) -> list[str]:
    with _opened(path) as file:
        names: list[str] = file.schema_arrow.names
        return names


def _file(path: Path, name: str, split: str | None, columns: Columns, key: str) -> _File:
    with _opened(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
        _check_sizes(path, metadata, columns.names)
        check_columns(columns, schema.names, path, key, partial(_simple_rows, file, path, columns.labels))
        _check_content_type(schema.field(columns.content).type, path, columns.content)
        names = None if columns.several or columns.numbers else _declared(schema.metadata or {}, columns.labels[0])
        listed = not columns.numbers and _is_list(schema.field(columns.labels[0]).type)
        task: Task = "multi" if listed else columns.task
        size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
        batch = max(1, min(_MAX_BATCH, _BATCH_BYTES * metadata.num_rows // max(size, 1)))
        batch = max(1, min(batch, _MAX_CELL_BYTES // max(_largest_value(path, metadata, columns), 1)))
        plain = columns.several or names or not listed
        switches = None if plain else _switches(file, path, columns.labels[0], batch)
        named = _holds_names(file, columns.content)
        return _File(path, readable_name(name or path.name), split, metadata.num_rows, batch, task, names, switches, named)


def _simple_rows(file: Any, path: Path, labels: Sequence[str]) -> Iterator[dict[str, object]]:
    """The cells of the columns of numbers and truth values, and of those of labels."""
    import pyarrow.types as pt

    kinds = (pt.is_integer, pt.is_floating, pt.is_boolean)
    schema = file.schema_arrow
    names = [own.name for own in schema if own.name in labels or any(kind(own.type) for kind in kinds)]
    with _undamaged(path, " or ".join(names)):
        for batch in file.iter_batches(_MAX_BATCH, columns=names):
            yield from batch.to_pylist()


def _other_rows(file: _File, columns: Columns) -> Iterator[dict[str, object]]:
    """The cells of the columns of texts and whole numbers that mean nothing else."""
    import pyarrow.types as pt

    with _opened(file.path) as opened:
        fields = [field for field in opened.schema_arrow if field.name not in columns.names]
        names = [field.name for field in fields if _is_name(field.type) or pt.is_dictionary(field.type)]
        _check_sizes(file.path, opened.metadata, names)
        with _undamaged(file.path, " or ".join(names)):
            for batch in opened.iter_batches(_MAX_BATCH, columns=names) if names else ():
                yield from batch.to_pylist()


def _check_sizes(path: Path, metadata: Any, names: Sequence[str]) -> None:
    """DataError where a column would take far more memory than its file has bytes: by its metadata, before reading."""
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        sizes: dict[str, tuple[int, int, int]] = {}
        for part in map(group.column, range(group.num_columns)):
            name = part.path_in_schema.split(".")[0]
            whole, stored, decoded = sizes.get(name, (0, 0, 0))
            numbers = 0 if part.physical_type == "BYTE_ARRAY" else _NUMBER_BYTES * part.num_values
            sizes[name] = whole + part.total_uncompressed_size, stored + part.total_compressed_size, decoded + numbers
        for name in set(names) & set(sizes):
            whole, stored, decoded = sizes[name]
            told = f"{readable_name(path)}: column {name!r} holds {whole >> 20} MB in {group.num_rows} rows (row group {i})"
            if whole > _MAX_CELL_BYTES * max(group.num_rows, 1):
                raise DataError(f"{told}; a sample may have {_MAX_CELL_BYTES >> 20} MB: cut it, or leave it out")
            if decoded > max(_MAX_DECODED_BYTES, _MAX_RATIO * stored):
                raise DataError(
                    f"{told} that are {decoded >> 20} MB of numbers; write it with row groups of less than "
                    f"{_MAX_DECODED_BYTES >> 20} MB"
                )
            if whole > max(_MAX_CELL_BYTES, _MAX_RATIO * stored):
                raise DataError(
                    f"{told} and {stored:,} bytes in the file, {whole // max(stored, 1)} times as little, as no samples are; "
                    f"write it with row groups of less than {_MAX_CELL_BYTES >> 20} MB if it is to be so"
                )


def _largest_value(path: Path, metadata: Any, columns: Columns) -> int:
    """Bytes that one value may have to which many rows refer: those of the largest dictionary."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    parts = [group.column(i) for group in groups for i in range(group.num_columns)]
    with path.open("rb") as file:
        return max((_dictionary_bytes(file, p) for p in parts if p.path_in_schema.split(".")[0] in columns.names), default=0)


def _dictionary_bytes(file: BinaryIO, part: Any) -> int:
    """Of a part of a column, uncompressed: its dictionary begins with a header in Thrift's compact protocol.

    Fields 1 and 2, the kind of page and this size, are numbers in zigzag, seven bits a byte (parquet-format, PageHeader).
    """
    if not part.has_dictionary_page:
        return 0
    file.seek(part.dictionary_page_offset)
    found = _PAGE.match(file.read(32))
    if not found:  # encrypted, say
        return int(part.total_uncompressed_size)
    return sum(int(byte & 0x7F) << 7 * i for i, byte in enumerate(found[1])) >> 1


def _batches(opened: Any, file: _File, columns: Sequence[str]) -> Iterator[Any]:
    """Rows in portions; DataError where they hold far more than the file: each refers to the same large value."""
    stored, given = file.path.stat().st_size, 0
    for batch in opened.iter_batches(file.batch_size, columns=list(columns)):
        given += sum(column.nbytes for column in batch.columns if not _is_of_numbers(column.type))
        if given > max(_MAX_CELL_BYTES, _MAX_RATIO * stored):
            raise DataError(
                f"{readable_name(file.path)}: its first rows hold {given >> 20} MB in {', '.join(map(repr, columns))}, and the "
                f"whole file has {stored:,} bytes: many rows refer to one large value, as no images do; leave such rows out"
            )
        yield batch


def _opened(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{readable_name(path)}: not a whole Parquet file ({error}); get it again") from None


def _declared(metadata: Mapping[bytes, bytes], label: str) -> tuple[str, ...] | None:
    """Class names that Hugging Face's datasets keep in the schema (a ClassLabel, or a list of them)."""
    try:
        feature = json.loads(metadata[b"huggingface"])["info"]["features"][label]
        names = feature.get("feature", feature)["names"]
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
    unique = isinstance(names, list) and len({clean(str(name)) for name in names}) == len(names)
    return tuple(clean(str(name)) for name in names) if unique else None


def _switches(file: Any, path: Path, label: str, batch_size: int) -> int | None:
    """The length of a column's lists if all have the same, above 1, and hold only 0 and 1; missing values say nothing."""
    import pyarrow.compute as pc

    lengths: set[int] = set()
    with _undamaged(path, label):
        for batch in file.iter_batches(batch_size, columns=[label]):
            lists = batch.column(0).drop_null()
            lengths |= set(pc.unique(pc.list_value_length(lists)).to_pylist())
            if len(lengths) > 1 or not _only_0_and_1(lists.flatten().drop_null()):
                return None
    return lengths.pop() if lengths and min(lengths) > 1 else None


@contextmanager
def _undamaged(path: Path, column: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{readable_name(path)}: column {column!r} is damaged ({error}); get it again") from None


def _holds_names(file: Any, column: str) -> bool:
    """Whether a column of images may hold names: it is of text, or of structs with bytes of which some are missing."""
    import pyarrow.types as pt

    kind = file.schema_arrow.field(column).type
    if not pt.is_struct(kind):
        return _is_name(kind)
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
    counts = [chunk.statistics for chunk in chunks if chunk.path_in_schema == f"{column}.bytes"]
    return any(known is None or not known.has_null_count or known.null_count for known in counts)


def _is_name(kind: Any) -> bool:
    """Text, or a number as an id: the name of a file with `data.files`."""
    import pyarrow.types as pt

    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_integer(kind))


def _only_0_and_1(values: Any) -> bool:
    import pyarrow.types as pt

    if not any(test(values.type) for test in (pt.is_integer, pt.is_floating, pt.is_boolean)):
        return False
    numbers = values.to_numpy(zero_copy_only=False)
    return bool(((numbers == 0) | (numbers == 1) | (numbers != numbers)).all())


def _is_of_numbers(kind: Any) -> bool:
    import pyarrow.types as pt

    while _is_list(kind):
        kind = kind.value_type
    return bool(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_boolean(kind))


def _is_list(kind: Any) -> bool:
    import pyarrow.types as pt

    return bool(pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind))


def _check_content_type(kind: Any, path: Path, column: str) -> None:
    import pyarrow.types as pt

    kind = getattr(kind, "storage_type", kind)
    if pt.is_struct(kind) and "bytes" in [field.name for field in kind]:
        return
    if pt.is_binary(kind) or pt.is_large_binary(kind) or _is_name(kind):
        return
    if _is_list(kind):
        while _is_list(kind):
            kind = kind.value_type
        if pt.is_integer(kind) or pt.is_floating(kind):
            return
    raise DataError(
        f"{readable_name(path)}: column {column!r} is of type {kind}; encoded samples (bytes, or a struct with bytes), file "
        "names or ids, or lists of numbers are allowed"
    )


def _read_file(file: _File, columns: Columns, data: DataConfig, found: Fit | None) -> Iterator[Raw]:
    """Rows in portions of some megabytes. The file is mapped: of a row group of 960 MB it takes 54, and 972 when it is read."""
    import pyarrow as pa

    row = 0
    try:
        with _opened(file.path) as opened:
            for batch in _batches(opened, file, columns.names):
                cells = {name: _cells(batch.column(name)) for name in columns.names if name != columns.content}
                for i, image in enumerate(_images(batch.column(columns.content))):
                    row_cells = {name: values[i] for name, values in cells.items()}
                    yield _read_row(file, columns, row_cells, row + i, image, data, found)
                row += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{readable_name(file.path)}: damaged after row {row} ({error}); get it again") from None


def _cells(column: Any) -> list[Any]:
    """The values of a column; of times the text, which holds what Python's have no place for (nanoseconds)."""
    import pyarrow.types as pt

    values: list[Any] = (column.cast("string") if pt.is_temporal(column.type) else column).to_pylist()
    return values


def _read_row(
    file: _File, columns: Columns, cells: dict[str, object], row: int, image: Any, data: DataConfig, found: Fit | None
) -> Raw:
    problem: str | None = None
    content: Content | None = None
    num_bytes, name = 0, file.name
    try:
        if file.names is not None:
            cells[columns.labels[0]] = _named(cells[columns.labels[0]], file.names)
        if file.switches:
            cells[columns.labels[0]] = _places_of_1(cells[columns.labels[0]])
        if found and isinstance(image, str):
            hit = found.files.find(image)
            content, num_bytes, name = found.files.place(hit), hit.num_bytes, readable_name(hit.path)
        else:
            content, num_bytes = _content(image, data)
    except BadSampleError as bad:
        problem = str(bad)
    raw = made_raw(columns, cells, name, row, content, num_bytes)
    if problem is None and file.split is None:
        return raw
    return raw._replace(problem=problem or raw.problem, split=raw.split or file.split)


def _named(value: object, names: tuple[str, ...]) -> object:
    """The class name of a number, or of each in a list."""
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    if isinstance(value, int) and not 0 <= value < len(names):
        raise BadSampleError(f"label {value} is not one of the {len(names)} declared classes")
    return names[value] if isinstance(value, int) else value


def _places_of_1(value: object) -> object:
    """The places of the ones in a list of 0 and 1, as labels."""
    if not isinstance(value, list):
        return value
    if any(item not in (0, 1) for item in value):
        said = ", ".join(cell_text(item) or "missing" for item in value)
        raise BadSampleError(f"label [{said}]: 0 or 1 is allowed at each place")
    return [str(place) for place, item in enumerate(value) if item]


def _content(image: Any, data: DataConfig) -> tuple[Content, int]:
    """Encoded bytes or an array from a cell: bytes, None or an Arrow list."""
    if image is None or image == b"" or not getattr(image, "is_valid", True):
        raise BadSampleError(f"{data.content_key} missing")
    if isinstance(image, bytes):
        return image, len(image)
    array = sample_reading_of(data.kind).from_cell(_array(image), data)
    return array, array.nbytes


def _images(column: Any) -> Iterator[Any]:
    """Per row the encoded bytes, a file name, an Arrow list, or None."""
    import pyarrow.types as pt

    column = getattr(column, "storage", column)
    if pt.is_struct(column.type):
        fields = {field.name: values.to_pylist() for field, values in zip(column.type, column.flatten(), strict=True)}
        paths = fields.get("path", [None] * len(column))
        yield from (found if found is not None else path for found, path in zip(fields["bytes"], paths, strict=True))
    elif _is_list(column.type):
        yield from column
    elif pt.is_integer(column.type):
        yield from column.cast("string").to_pylist()
    else:
        yield from column.to_pylist()


def _array(cell: Any) -> NDArray[Any]:
    """A nested list as an array, without a Python object per pixel."""
    import pyarrow.compute as pc

    values = cell.values
    shape = [len(values)]
    while len(values) and _is_list(values.type):
        lengths = pc.unique(pc.list_value_length(values)).to_pylist()
        if len(lengths) != 1 or lengths[0] is None:
            raise BadSampleError("array whose rows differ in length")
        shape.append(lengths[0])
        values = values.flatten()
    if values.null_count or not len(values):
        raise BadSampleError("array with missing values")
    flat: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return flat.reshape(shape)
