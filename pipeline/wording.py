"""Words that messages share: counts, shares, and names of which the first are said."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline.processes import one_line


def counted(num: int, what: str) -> str:
    """Such as "1 class", "7 classes" or "1,797 copies", for `what` in the singular."""
    if num == 1:
        return f"1 {what}"
    many = f"{what}es" if what.endswith("s") else f"{what[:-1]}ies" if what.endswith("py") else f"{what}s"
    return f"{num:,} {many}"


def so_many(num: int, one: str, many: str) -> str:
    """One sentence of one thing, or another with the number in place of {}."""
    return one if num == 1 else many.format(f"{num:,}")


def some(names: Sequence[str], what: str, num: int = 5) -> str:
    """Such as "1 class (a)" or "7 classes (a, b, c, d, e, ...)", for `what` in the singular."""
    more = ", ..." if len(names) > num else ""
    return f"{counted(len(names), what)} ({', '.join(map(one_line, names[:num]))}{more})"


def first_of(names: Sequence[str], num: int) -> str:
    """Such as "a, b and 3 more"."""
    more = f" and {len(names) - num:,} more" if len(names) > num else ""
    return ", ".join(names[:num]) + more


def share(num: int, of: int) -> str:
    """Such as "3 of 100 (3 %)"."""
    return f"{num:,} of {of:,} ({100 * num / of:.3g} %)"


def shifted(difference: float, interval: Sequence[float] | None) -> str:
    """Such as "-0.0152 [-0.0400, 0.0096]"."""
    form = form_of([difference, *(interval or [])])
    return f"{difference:+{form}}" + (f" [{interval[0]:{form}}, {interval[1]:{form}}]" if interval else "")


def form_of(values: Sequence[float]) -> str:
    """How numbers that belong together are formatted: to three digits of the largest."""
    largest = max(map(abs, values))
    return f"z.{max(0, 2 - math.floor(math.log10(largest)))}f" if 1e-9 < largest < 1e6 else "z.3g"


def from_to(spread: Sequence[int]) -> str:
    """The first and the last one, such as "3 to 10", or the one that both are."""
    return f"{spread[0]:,}" if spread[0] == spread[-1] else f"{spread[0]:,} to {spread[-1]:,}"


def bytes_told(size: float) -> str:
    """12.3 MB"""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
