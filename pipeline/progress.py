"""How far work is, and how long the rest of it takes: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

LINE_EVERY_S = 10.0
"""Between two plain lines."""
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


class Display:
    """Shows what is done of `total` (None: unknown); `note` stands beside the bar, before the time left."""

    note = ""

    def __init__(
        self,
        name: str,
        unit: str,
        total: int | None,
        done: float = 0,
        every_s: float | None = None,
        stream: TextIO | None = None,
    ) -> None:
        """stream: where plain lines go; None: the standard output."""
        self.name, self.unit, self.total, self.done, self.stream = name, unit, total, done, stream
        self.every_s = LINE_EVERY_S if every_s is None else every_s
        self.bar = self._bar() if sys.stderr.isatty() else None
        self.begin()

    def begin(self) -> None:
        """The time left is told by what is done from now on."""
        self.pace, self.told = Pace(), time.monotonic()

    def _bar(self) -> Any:
        from tqdm import tqdm

        endless = self.total is None  # for which tqdm has a form of its own
        form: Any = {"unit": f" {self.unit}s"} if endless else {"unit": self.unit, "bar_format": BAR}
        return tqdm(total=self.total, initial=self.done, desc=self.name, leave=False, **form)

    def at(self, done: float, left: str | None = None) -> bool:
        """So much is done by now. left: the time left in words, else told by the pace. Whether a plain line is due."""
        self.done = done
        self.pace.at(done)
        if self.bar is not None:
            self.bar.set_postfix_str(", ".join(filter(None, [self.note, self.left() if left is None else left])), refresh=False)
            self.bar.update(done - self.bar.n)
            return False
        return time.monotonic() - self.told > self.every_s

    def advance(self, num: int) -> None:
        """So much more is done."""
        if self.at(self.done + num):
            self.say(self.line())

    def left(self) -> str:
        """The time left in words; nothing before there is a basis."""
        seconds = self.pace.left(self.total) if self.total else None
        return "" if seconds is None else f"{duration(seconds)} left"

    def line(self, left: str | None = None) -> str:
        """How far it is, plainly."""
        of = f" of {self.total:,}" if self.total is not None else ""
        words = [f"{self.name}: {self.done:,.0f}{of} {self.unit}s", self.left() if left is None else left]
        return ", ".join(filter(None, words))

    def say(self, text: str) -> None:
        """A line of its own."""
        if self.bar is not None:
            self.bar.write(text, file=self.stream or sys.stdout)
        else:
            print(text, file=self.stream or sys.stdout, flush=True)
        self.told = time.monotonic()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()

    def __enter__(self) -> Display:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
