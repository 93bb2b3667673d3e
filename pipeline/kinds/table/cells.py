"""What cells of text say: numbers, dates, or a word for a missing value. Whole columns at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kinds.words import DECIMALS, MISSING

if TYPE_CHECKING:
    import pyarrow as pa

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
LED = r"^[+-]?0\d"
"""Leading zeros: what looks like a number is an id, a postal code, a telephone number."""
INFINITE = r"^[+-]?(?i:inf|infinity|∞)$"
GROUPED = r"^[+-]?\d{1,3}(\.\d{3})+$"
"""As numbers with dots between thousands look."""
_TIME = r"(?:[T ](?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:\.\d+)?)?Z?)?$"
DATES = {
    "y-m-d": r"^(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})" + _TIME,
    "y/m/d": r"^(?P<y>\d{4})/(?P<m>\d{1,2})/(?P<d>\d{1,2})" + _TIME,
    "d.m.y": r"^(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})" + _TIME,
    "d/m/y": r"^(?P<d>\d{1,2})/(?P<m>\d{1,2})/(?P<y>\d{4})" + _TIME,
    "m/d/y": r"^(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4})" + _TIME,
}
"""By the order of day, month and year: the cells that say a date, perhaps with a time of day in UTC."""
Mask = NDArray[np.bool_]


def matching(cells: pa.Array, pattern: str) -> Mask:
    """(n,) which cells match."""
    import pyarrow.compute as pc

    return as_numpy(pc.match_substring_regex(cells, pattern))


def numbers(cells: pa.Array, decimal: str = "") -> tuple[NDArray[np.float64], Mask]:
    """(n,) values, and which cells say a finite number; others are NaN.

    decimal: the sign before decimals where thousands may be told apart by another one; empty: as programs write numbers.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if decimal:
        pattern, between = DECIMALS[decimal]
        plain = pc.replace_substring(pc.replace_substring(cells, between, ""), decimal, ".")
        cells = pc.if_else(pc.match_substring_regex(cells, pattern), plain, "")

    empty = pc.equal(cells, "")
    said = pc.if_else(empty, "nan", cells) if pc.any(empty).as_py() else cells
    try:
        values = as_numpy(said.cast(pa.float64()))
    except pa.ArrowInvalid:
        fits = pc.match_substring_regex(cells, NUMBER)
        values = as_numpy(pc.if_else(fits, cells, "nan").cast(pa.float64()))
    finite = np.isfinite(values)
    return (values if finite.all() else np.where(finite, values, np.nan)), finite


def dates(cells: pa.Array, order: str) -> tuple[NDArray[np.float64], Mask]:
    """(n,) seconds since 1970 UTC, and which cells say a date that there is."""
    coded = cells.dictionary_encode()  # most dates are said more than once
    fits = matching(coded.dictionary, DATES[order])
    if not fits.any():
        return np.full(len(cells), np.nan), np.zeros(len(cells), bool)
    seconds, there = _dates(coded.dictionary, order)
    places = as_numpy(coded.indices)
    return seconds[places], there[places]


def _dates(cells: pa.Array, order: str) -> tuple[NDArray[np.float64], Mask]:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.extract_regex(cells, DATES[order])
    part = {}
    for name in "ymdHMS":
        texts = pc.struct_field(found, name)
        filled = pc.if_else(pc.equal(pc.fill_null(texts, ""), ""), "0", pc.fill_null(texts, "0"))
        part[name] = as_numpy(filled.cast(pa.int64()))
    months = (12 * (part["y"] - 1970) + part["m"] - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (part["d"] - 1)
    there = as_numpy(pc.is_valid(found)) & (part["m"] >= 1) & (part["m"] <= 12) & (part["d"] >= 1)
    there &= (days.astype("datetime64[M]") == months) & (part["H"] < 24) & (part["M"] < 60) & (part["S"] < 61)
    seconds = days.astype(np.int64) * 86400 + part["H"] * 3600 + part["M"] * 60 + part["S"]
    return np.where(there, seconds, np.nan).astype(np.float64), there


def equal_to_any(cells: pa.Array, words: list[str]) -> Mask:
    """(n,) which cells are one of the words."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return as_numpy(pc.is_in(cells, value_set=pa.array(words, cells.type)))


def usual_words(cells: pa.Array) -> Mask:
    """(n,) which cells are a word that programs write where they know no value."""
    import pyarrow.compute as pc

    return equal_to_any(pc.utf8_lower(cells), list(MISSING))


def as_numpy(values: pa.Array) -> NDArray[Any]:
    """An Arrow array without missing values as numpy's."""
    return np.asarray(values.to_numpy(zero_copy_only=False))
