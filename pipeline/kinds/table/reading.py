"""Rows of tables on their way into a dataset: what their columns are, their cells as float32, and what training rows teach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.kinds.arrow import text_numbers
from pipeline.kinds.kind import Fit, Layout
from pipeline.kinds.reading import Decoded, Facts, Inspected, Laid
from pipeline.kinds.table import fitting, survey
from pipeline.kinds.table.columns import columns_in, found_columns, listed
from pipeline.kinds.table.keys import TableData
from pipeline.kinds.table.rows import stored_rows
from pipeline.kinds.table.survey import Survey
from pipeline.wording import counted

if TYPE_CHECKING:
    import pyarrow as pa

NUM_FACTS = 1
THREADS = True
"""Whole columns at once are Arrow's and numpy's work; another process would have to be sent all cells."""
DTYPE = np.dtype(np.float32)
CELL_BYTES = 32
"""That decoding takes, roughly."""
FEW_ROWS, FEW_BINS = 2500, 8
"""Of fewer rows conf/preset/small-table.yaml usually learns more: on 300 rows of Adult its validation loss was 0.30 against
0.42, on 1,000 0.26 against 0.27, on 3,000 0.282 against 0.273; a number made for it from 2,000 rows it met with two thirds of
the error. It has so many pieces a number."""
_SEPARATOR, _ESCAPE = b"\x1f", b"\x1e"


def max_bytes(data: TableData) -> int:
    """A row may be as long as a portion of the table, which is what the source gives."""
    return 2**62


def described(facts: Facts, data: TableData) -> list[str]:
    """Nothing of single rows: the columns are told when they are laid out."""
    return []


def inspect_batch(contents: pa.RecordBatch, judged: NDArray[np.bool_], data: TableData) -> Inspected:
    """Numbers of the rows' texts, and what the columns say."""
    facts = np.full((len(contents), NUM_FACTS), CELL_BYTES * contents.num_columns, np.int64)
    return Inspected(row_numbers(contents), facts, {}, survey.surveyed(contents, judged, data.missing))


def merged(one: Survey, other: Survey) -> Survey:
    """What both surveys say."""
    return survey.merged(one, other)


def row_numbers(batch: pa.RecordBatch) -> keyed.U64:
    """(n,) content numbers: of the cells in the order of their columns' names, so that the table's own order changes none."""
    import pyarrow.compute as pc

    columns = [batch[name] for name in sorted(batch.schema.names)]
    joined = pc.binary_join_element_wise(*columns, _SEPARATOR.decode())
    data = np.frombuffer(joined.buffers()[2] or b"", np.uint8)
    plain = np.count_nonzero(data == _SEPARATOR[0]) == len(batch) * (len(columns) - 1) and not (data == _ESCAPE[0]).any()
    return text_numbers(joined if plain else pc.binary_join_element_wise(*map(_escaped, columns), _SEPARATOR.decode()))


def _escaped(column: pa.Array) -> pa.Array:
    """Without separators, and different cells still differ."""
    import pyarrow.compute as pc

    escape = _ESCAPE.decode()
    plain = pc.replace_substring(column, escape, f"{escape}0")
    return pc.replace_substring(plain, _SEPARATOR.decode(), f"{escape}1")


def lay(facts: Facts, survey: Survey, data: TableData, name: Callable[[int], str]) -> Laid:
    """A float32 for each number and category, and for each part of a date."""
    found = found_columns(survey, data)
    details = {"columns": listed(found.columns), "left_out": found.left_out, "rare": data.rare, "bins": data.bins}
    num = sum(1 for column in found.columns for _ in column.stored())
    types = [column.type for column in found.columns]
    counts = ", ".join(f"{types.count(type_)} {said}" for type_, said in _SAID.items() if type_ in types)
    notes = [f"{counted(len(types), 'column')}: {counts}"]
    notes += [f"column {name!r} is left out: {reason}" for name, reason in found.left_out.items()]
    notes += _said_of_few(len(facts), data.bins)
    return Laid(Layout((num,), DTYPE, details=details), [*notes, *found.notes])


def _said_of_few(num_rows: int, bins: int) -> list[str]:
    """What suits small tables, where the keys are those of large ones."""
    if num_rows >= FEW_ROWS or bins <= FEW_BINS:
        return []
    return [
        f"{counted(num_rows, 'row')}: with fewer than {FEW_ROWS:,} a narrower network, trained for more epochs, usually learns "
        "more: regatta run preset=small-table"
    ]


_SAID = {"number": "of numbers", "category": "of categories", "date": "of dates"}


def decode_batch(contents: pa.RecordBatch, numbers: keyed.U64, data: TableData, layout: Layout) -> Decoded:
    """Rows (n, columns) float32. A change of the table meanwhile is told by the file's state, when all has been read."""
    rows, problems = stored_rows(contents, columns_in(layout.details))
    return Decoded(rows, problems)


def fit(rows: Iterator[NDArray[Any]], layout: Layout) -> tuple[Fit, list[str]]:
    """Grids and exact values of numbers, counts of categories; see `fitting`."""
    return fitting.fit(rows, layout.details)
