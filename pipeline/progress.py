"""How far work is, and how long the rest of it takes."""

from __future__ import annotations

import time
from collections.abc import Callable

BASIS_S = 1.0
"""Before so much of something has been seen, nobody says how long the rest takes."""
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit}s [{elapsed}{postfix}]"
"""Without tqdm's own time left, which it tells from the first step on."""


class Pace:
    """How fast something goes, from the first sign of it on: what it takes to start and to warm up is not counted."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.first: tuple[float, float] | None = None
        """When something was done first, and how much."""
        self.done, self.seen = 0.0, 0.0

    def at(self, done: float) -> None:
        """So much is done by now."""
        self.done, self.seen = done, self.clock()
        self.first = self.first or ((self.seen, done) if done else None)

    @property
    def seen_share(self) -> float:
        """What was done since the first sign."""
        return self.done - self.first[1] if self.first else 0.0

    def seconds_of_all(self, total: float, basis_s: float = BASIS_S) -> float | None:
        """Seconds of all of it at this pace; None before so much of it has been seen."""
        if self.first is None or self.seen - self.first[0] < basis_s or not self.seen_share:
            return None
        return (self.seen - self.first[0]) * total / self.seen_share

    def left(self, total: float) -> float | None:
        """Seconds until `total` is done; None before there is a basis."""
        whole = self.seconds_of_all(total)
        return None if whole is None else max(0.0, whole * (1 - self.done / total) - (self.clock() - self.seen))


def duration(seconds: float) -> str:
    """A time to read."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
