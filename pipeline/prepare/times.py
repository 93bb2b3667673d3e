"""What a column of times says: cells of one column on one axis, by which the newest samples are told from the older ones.

Numbers are compared as they are: seconds or milliseconds of an epoch, years, 20240131. Dates and times are compared in UTC,
which those without a zone are taken for. What can be read in two ways (01/02/2024) is as the column's other cells are, or is
refused: nothing is guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import SPLITS
from pipeline.errors import DataError
from pipeline.prepare.raw import NONE, Column
from pipeline.prepare.scan import Samples
from pipeline.processes import one_line
from pipeline.wording import share, some

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_CLOCK = (
    r"(?:[T\s,]+(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?\s*(?P<half>[AaPp]\.?[Mm]\.?)?)?"
    r"\s*(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)?"
)
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_MONTH = r"(?P<name>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_YEAR = r"(?P<year>\d{4}|\d\d)"
_FORMS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?P<year>\d{4})(?P<mark>[-/.])(?P<month>\d{1,2})(?P=mark)(?P<day>\d{1,2})" + _CLOCK,
        r"(?P<year>\d{4})[-/](?P<month>\d{1,2})",
        r"(?P<month>\d{1,2})/(?P<year>\d{4})",
        r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\." + _YEAR + _CLOCK,
        r"(?P<one>\d{1,2})(?P<mark>[-/])(?P<other>\d{1,2})(?P=mark)" + _YEAR + _CLOCK,
        _WEEKDAY + r"(?P<day>\d{1,2})(?:st|nd|rd|th)?[\s-]+" + _MONTH + r"[\s,-]+" + _YEAR + _CLOCK,
        _WEEKDAY + _MONTH + r"[\s-]+(?P<day>\d{1,2})(?:st|nd|rd|th)?[\s,-]+" + _YEAR + _CLOCK,
        _WEEKDAY + _MONTH + r"\s+(?P<day>\d{1,2})" + _CLOCK + r"\s+(?P<year>\d{4})",  # as C's asctime and `date` write it
        _MONTH + r"[\s,-]+(?P<year>\d{4})",
    )
]
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_KNOWN = "2024-01-31, 2024-01-31 10:30, 31 Jan 2024, 01/31/2024 and numbers are known"


class Reading(NamedTuple):
    """What a cell says: a number, or microseconds since 1970; NaN where it can't be read so."""

    kind: Literal["number", "date", "none"]
    day_first: float
    """Where 01/02 is 1 February; in all other forms the same as the next one."""
    month_first: float = math.nan
    in_zone: bool = False


_UNREAD = Reading("none", math.nan)


@dataclass(frozen=True)
class Times:
    """When each sample was."""

    column: str
    moments: NDArray[np.float64]
    """(N,) on the column's own axis; NaN where a sample has no time, which is a problem of it."""
    texts: list[str]
    """What the cells say."""
    of: Column
    """(N,) positions in `texts`, or NONE."""

    def text(self, i: int) -> str:
        """What a sample's cell says, on one line."""
        return one_line(self.texts[self.of[i]])


def timed(samples: Samples, column: str, day_first: bool | None) -> tuple[Samples, Times, list[str]]:
    """The samples, those without a time among their problems; the times, and notes. DataError where dates are ambiguous."""
    readings = [read_time(text) for text in samples.time_texts]
    num = np.bincount(samples.times[samples.times != NONE], minlength=len(readings))
    kinds = np.array([reading.kind for reading in readings], object)
    dates = int(num[kinds == "date"].sum()) >= int(num[kinds == "number"].sum())
    wanted = kinds == ("date" if dates else "number")
    values, told = _ordered(readings, wanted, column, samples.time_texts, day_first) if dates else (_numbers(readings), [])
    values[~wanted] = math.nan
    lacking = {code: _reason(column, samples.time_texts[code], readings[code], dates) for code in _missing(values)}
    problems = {i: lacking[code] for i, code in enumerate(samples.times.tolist()) if code in lacking}
    moments = np.r_[values, math.nan][samples.times]
    times = Times(column, moments, samples.time_texts, samples.times)
    return replace(samples, problems=problems | samples.problems), times, told


def time_notes(times: Times, index: Column, splits: Column, fractions: Mapping[int, float], grouped: bool = False) -> list[str]:
    """What to know of samples `index` (T,) that their times have put into splits (T,). grouped: by `data.group`, too."""
    moments = times.moments[index]
    spans = [
        f"{name} {times.text(int(own[moments[splits == i].argmin()]))} to {times.text(int(own[moments[splits == i].argmax()]))}"
        for i, name in enumerate(SPLITS)
        if len(own := index[splits == i])
    ]
    notes = [f"split by time (column {times.column}), the newest in test: {'; '.join(spans)}"]
    far = far_from_asked(splits, fractions)
    notes += [f"{far}: samples of one time, of one group and exact copies are not parted"] if far else []
    return [*notes, *_none_newer(moments, splits, grouped)]


def _none_newer(moments: NDArray[np.float64], splits: Column, grouped: bool) -> list[str]:
    """How many samples (T,) of val and of test are no newer than the newest of train, and what that means."""
    newest = moments[splits == 0].max(initial=-math.inf)
    old = {name: (int((own <= newest).sum()), len(own)) for i, name in enumerate(SPLITS) if len(own := moments[splits == i])}
    said = [f"{share(*counts)} of {name}" for name, counts in old.items() if name != SPLITS[0] and counts[0]]
    if not said:
        return []
    why = "a newer sample of their group, or an exact copy," if grouped else "a newer exact copy of theirs"
    told = f"no newer than the newest training sample are {' and '.join(said)}: {why} brought them along"
    if not grouped:
        return [told]
    return [f"{told}, so that test says less of what comes later; by time alone: regatta run '~data.group'"]


def far_from_asked(splits: Column, fractions: Mapping[int, float]) -> str | None:
    """The shares of splits (T,), where one that was cut is far from the fraction asked for."""
    num = np.bincount(splits, minlength=len(SPLITS)) / max(len(splits), 1)
    asked = {i: fraction for i, fraction in fractions.items() if fraction}
    if all(abs(num[i] - fraction) <= fraction / 2 for i, fraction in asked.items()):
        return None
    counts = ", ".join(f"{name} {100 * share:.0f} %" for name, share in zip(SPLITS, num.tolist(), strict=True) if share)
    wanted = " and ".join(f"{100 * fraction:g} % (prepare.{SPLITS[i]}_fraction)" for i, fraction in asked.items())
    return f"the splits are {counts}, where {wanted} were asked for"


def read_time(text: str) -> Reading:
    """What a cell says, in each way in which it can be read."""
    if _NUMBER.fullmatch(text):
        number = float(text)
        return Reading("number", number, number) if math.isfinite(number) else _UNREAD
    try:
        return _moment(datetime.fromisoformat(text))
    except ValueError:
        return next(_readings(text), _UNREAD)


def _readings(text: str) -> Iterator[Reading]:
    for form in _FORMS:
        if match := form.fullmatch(text):
            parts = match.groupdict()
            if "one" not in parts:
                yield _dated(parts, parts.get("day") or "1", parts.get("month"))
            else:
                day, month = _dated(parts, parts["one"], parts["other"]), _dated(parts, parts["other"], parts["one"])
                either = day if day.kind == "date" else month
                yield either._replace(day_first=day.day_first, month_first=month.day_first)


def _dated(parts: dict[str, str | None], day: str, month: str | None) -> Reading:
    """The moment of a date's parts; unread where there is no such day."""
    try:
        return _moment(datetime(_year(str(parts["year"])), _month(parts, month), int(day), *_clock(parts), tzinfo=_zone(parts)))
    except ValueError:
        return _UNREAD


def _moment(found: datetime) -> Reading:
    in_utc = found if found.tzinfo else found.replace(tzinfo=UTC)
    value = float((in_utc - _EPOCH) // _MICROSECOND)
    return Reading("date", value, value, found.tzinfo is not None)


def _year(text: str) -> int:
    """Two digits as POSIX reads them (strptime, %y): 69 to 99 are of the last century."""
    year = int(text)
    return year if len(text) == 4 else year + (1900 if year >= 69 else 2000)


def _month(parts: dict[str, str | None], month: str | None) -> int:
    name = parts.get("name")
    return _MONTHS.index(name.lower()) + 1 if name else int(month or 0)


def _clock(parts: dict[str, str | None]) -> tuple[int, int, int, int]:
    """Hour, minute, second, microsecond."""
    if not parts.get("hour"):
        return 0, 0, 0, 0
    hour, half = int(parts["hour"] or 0), (parts["half"] or "").lower()
    if half and not 1 <= hour <= 12:
        raise ValueError("no such hour")
    hour = hour if not half else hour % 12 + (12 if half.startswith("p") else 0)
    return hour, int(parts["minute"] or 0), int(parts["second"] or 0), int((parts["fraction"] or "0").ljust(6, "0")[:6])


def _zone(parts: dict[str, str | None]) -> timezone | None:
    zone = parts.get("zone")
    if not zone:
        return None
    if zone[0] not in "+-":
        return UTC
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    return timezone(timedelta(minutes=-minutes if zone[0] == "-" else minutes))


def _numbers(readings: list[Reading]) -> NDArray[np.float64]:
    return np.array([reading.day_first for reading in readings], np.float64)


def _ordered(
    readings: list[Reading], wanted: NDArray[np.bool_], column: str, texts: list[str], day_first: bool | None
) -> tuple[NDArray[np.float64], list[str]]:
    """The moments of dates, with the day or the month first, and notes."""
    both = np.array([reading[1:3] for reading in readings], np.float64).reshape(-1, 2)
    both[~wanted] = math.nan
    differ = wanted & (both[:, 0] != both[:, 1])  # NaN differs from all
    told = _zones(readings, wanted)
    if not differ.any():
        return both[:, 0], told
    first = _day_first(both[differ], [texts[i] for i in np.flatnonzero(differ)], column) if day_first is None else day_first
    order = "day before month" if first else "month before day"
    example = texts[int(np.flatnonzero(differ)[0])]
    return both[:, 0 if first else 1], [*told, f"column {column}: {order}, such as {one_line(example)}"]


def _zones(readings: list[Reading], wanted: NDArray[np.bool_]) -> list[str]:
    zoned = {reading.in_zone for reading, is_date in zip(readings, wanted.tolist(), strict=True) if is_date}
    return ["times with a zone beside times without one, which are taken as UTC"] if len(zoned) > 1 else []


def _day_first(both: NDArray[np.float64], texts: list[str], column: str) -> bool:
    """What the cells (n, 2) that can be read in one way alone say; DataError where they say nothing, or both."""
    only_day, only_month = np.isnan(both[:, 1]), np.isnan(both[:, 0])
    if only_day.any() != only_month.any():
        return bool(only_day.any())
    if only_day.any():
        day, month = (texts[int(np.flatnonzero(only)[0])] for only in (only_day, only_month))
        said = f"{one_line(day)} has the day first, {one_line(month)} the month"
    else:
        said = f"{one_line(texts[0])} has the day or the month first, and none of {some(texts, 'such date', 3)} says which"
    raise DataError(
        f"data.time = {column}: {said}. Say one of:\n  regatta run data.day_first=true    # 01/02/2024 is 1 February\n"
        "  regatta run data.day_first=false   # 01/02/2024 is January 2\n"
        "Cells that can't be read so are then listed as not taken."
    )


def _missing(values: NDArray[np.float64]) -> list[int]:
    found: list[int] = np.flatnonzero(np.isnan(values)).tolist()
    return found


def _reason(column: str, text: str, reading: Reading, dates: bool) -> str:
    said = f"column {column} says {text!r}"
    if reading.kind == "none":
        return f"{said}, which is no time: {_KNOWN}"
    if (reading.kind == "date") != dates:
        return f"{said}, a {reading.kind} among {'dates' if dates else 'numbers'}"
    return f"{said}, and there is no such day in the order in which the column's dates are read"
