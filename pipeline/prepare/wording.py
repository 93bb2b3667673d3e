"""Words that several messages share."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.processes import one_line


def some(names: Sequence[str], what: str, num: int = 5) -> str:
    """Such as "1 class (a)" or "7 classes (a, b, c, d, e, ...)", for `what` in the singular."""
    plural = "" if len(names) == 1 else "es" if what.endswith("s") else "s"
    more = ", ..." if len(names) > num else ""
    return f"{len(names)} {what}{plural} ({', '.join(map(one_line, names[:num]))}{more})"


def share(num: int, of: int) -> str:
    """Such as "3 of 100 (3 %)"."""
    return f"{num} of {of} ({100 * num / of:.3g} %)"
