"""A stop that a signal asks for, at a moment when everything is whole. Imports no torch."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Ctrl-C and SIGTERM ask for a stop when the work in hand is done; a second Ctrl-C stops at once (files stay whole)."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen while the block runs; outside of the main thread signals are the caller's."""
        try:
            before = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is signal.SIGINT and number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
        self.signal = signal.Signals(number)
