"""Numbers and names as people read them."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from datetime import UTC, datetime
from itertools import accumulate
from unicodedata import combining, east_asian_width

from markupsafe import Markup, escape

from pipeline.metrics import METRICS

ELLIPSIS = "\u2026"
JOINS = " -_/.:"
"""Marks after which a name may be broken."""
_AFTER_JOINS = re.compile(r"(?<=[-_/.:])(?=[^\W\d_])")
_BETWEEN_BACKTICKS = re.compile(r"`([^`]+)`")


def percent(share: float, digits: int = 1) -> str:
    """0.9783 to "97.8%"."""
    return f"{100 * share:.{digits}f}%"


def points(difference: float) -> str:
    """A difference of shares in percentage points: 0.0217 to "2.2 points"; the minus is a minus."""
    return f"{100 * difference:z.1f} points".replace("-", "\u2212")


def number(value: float, digits: int = 3) -> str:
    """About `digits` significant digits, thousands grouped, no exponent between 1e-4 and 1e15."""
    if not math.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return f"{value:.{digits - 1}e}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def count(value: int) -> str:
    """1234567 to "1,234,567"."""
    return f"{value:,}"


def plural(value: int, one: str, many: str | None = None) -> str:
    """ "1 epoch", "2 epochs", "0 classes"."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def interval(low: float, high: float) -> str:
    """Two shares as "95.7 to 98.9%"."""
    return f"{100 * low:.1f} to {percent(high)}"


def between(low: float | None, high: float | None) -> str:
    """Two numbers as "12.1 to 13.4"; where there are none, that."""
    return "not known" if low is None or high is None else f"{number(low)} to {number(high)}"


def duration(seconds: float) -> str:
    """Seconds as "0.84 s", "12 s", "3 min 20 s", "2 h 05 min"."""
    if seconds < 59.5:
        return f"{number(seconds, 2)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def times(value: int) -> str:
    """ "once", "twice", "3 times"."""
    return {1: "once", 2: "twice"}.get(value, f"{count(value)} times")


def moment(text: str) -> str:
    """A recorded time (ISO 8601) as "2026-11-23 18:45 UTC"; anything else as it stands."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if time.tzinfo else f"{time:%Y-%m-%d %H:%M}"


def columns(text: str) -> int:
    """How wide a text is, in Latin letters: Chinese characters take two, accents that are added none."""
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def short(name: str, width: int = 24) -> str:
    """A name of at most `width` columns, its middle left out; line breaks and other controls become spaces."""
    plain = "".join(c if c.isprintable() else " " for c in name)
    if columns(plain) <= width:
        return plain
    end = (width - 1) // 3
    start = width - 1 - end
    return _beginning(plain, start) + ELLIPSIS + _beginning(plain[::-1], end)[::-1]


def lines(name: str, width: int, most: int = 3) -> str:
    """A name over lines of at most `width` columns, cut after a mark that joins words where there is one.

    What does not fit on `most` lines loses its middle.
    """
    rest = short(name, width * most)
    found: list[str] = []
    while columns(rest) > width:
        line = _beginning(rest, width)
        neat = line[: 1 + max(line.rfind(mark) for mark in JOINS)]
        # Only where the lines that are left have room for the rest.
        fits = neat and columns(rest) - columns(neat) <= width * (most - len(found) - 1)
        found.append(neat if fits else line)
        rest = rest[len(found[-1]) :]
    return "\n".join([*found, rest])


def _beginning(text: str, width: int) -> str:
    """As many characters as fit into so many columns, at least one."""
    wide = list(accumulate(map(columns, text)))
    return text[: max(1, bisect_right(wide, width))]


def plain(name: str) -> str:
    """A name with control characters (and those that turn the direction of writing) made visible."""
    return "".join(c if c.isprintable() else "\ufffd" for c in name)


def coded(text: str) -> Markup:
    """Text, escaped, with what stands between backticks as code: what a terminal shows comes to the page as well."""
    return Markup(_BETWEEN_BACKTICKS.sub(r"<code>\1</code>", str(escape(plain(text)))))


def parted(name: str) -> Markup:
    """A name, escaped, that breaks after its joins rather than within a word."""
    return Markup("<wbr>").join(re.split(_AFTER_JOINS, plain(name)))


def signed(difference: float | None) -> str:
    """A difference with its sign, the minus being a minus; a dash for none."""
    if difference is None:
        return "\u2013"
    return ("+" if difference > 0 else "\u2212" if difference < 0 else "") + number(abs(difference))


def probability(p: float | None) -> str:
    """A p value; a dash for none."""
    return "\u2013" if p is None else "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def metric_words(metric: str) -> str:
    """ "last_val_loss" as "validation loss of the last epoch"."""
    return METRICS[metric].words


def better(metric: str) -> str:
    """Which side of a metric is better."""
    side = METRICS[metric].better
    return "neither side is better" if side == "neither" else f"{side} is better"


def measured(name: str) -> str:
    """What an epoch counts beside the loss, in words."""
    return {"accuracy": "accuracy", "mae": "mean absolute error"}[name]


def measure(metric: str, value: float | None) -> str:
    """A metric's value in its own way of writing; a dash for none."""
    if value is None:
        return "\u2013"
    unit = METRICS[metric].unit
    if unit == "share":
        return percent(value)
    return duration(value) if unit == "s" else number(value)
