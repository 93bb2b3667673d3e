"""How far a pass has come: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

LINE_EVERY_S = 10.0


class Progress:
    """Counts what is done of `total` (None: unknown) and shows it on stderr."""

    def __init__(self, doing: str, total: int | None) -> None:
        self.doing, self.total, self.done = doing, total, 0
        self.shown_at = time.monotonic()
        self.bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, desc=doing, unit=" samples", leave=False)

    def advance(self, num: int) -> None:
        """Count `num` more."""
        self.done += num
        if self.bar is not None:
            self.bar.update(num)
        elif time.monotonic() - self.shown_at > LINE_EVERY_S:
            self.shown_at = time.monotonic()
            of = f" of {self.total}" if self.total is not None else ""
            print(f"{self.doing}: {self.done}{of} samples", file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.close()
