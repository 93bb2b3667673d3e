"""Words that several messages share."""

from __future__ import annotations

from collections.abc import Sequence


def some(names: Sequence[str], what: str, num: int = 5) -> str:
    """ "3 classes (a, b, c)", or only the first names where there are many."""
    more = ", ..." if len(names) > num else ""
    return f"{len(names)} {what} ({', '.join(names[:num])}{more})"


def share(num: int, of: int) -> str:
    """ "3 of 100 (3 %)"."""
    return f"{num} of {of} ({100 * num / of:.3g} %)"
