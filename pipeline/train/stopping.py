"""A stop that a signal asks for, at a moment when everything is whole. Imports no torch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from pipeline.errors import Interrupted, Stopped

Handler = Callable[[int, FrameType | None], None]
STOPS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class StopRequest:
    """Ctrl-C, SIGTERM and SIGHUP ask for a stop when the work in hand is done; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen while the block runs; outside of the main thread signals are the caller's."""
        with handled(self._ask):
            yield

    def error(self, words: str) -> Stopped:
        """What to raise once all is saved; words: where, and what to do."""
        assert self.signal is not None
        name = "Ctrl-C" if self.signal is signal.SIGINT else self.signal.name
        return self.kind(f"stopped by {name} {words}")

    @property
    def kind(self) -> type[Stopped]:
        """Of the error: it carries the exit code."""
        return Interrupted if self.signal is signal.SIGINT else Stopped

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is signal.SIGINT and number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
        self.signal = signal.Signals(number)
        Process.asked = True


class Process:
    """Of a stage: once asked to stop, and on its way to its end, it is not killed by being asked again."""

    asked = False

    @classmethod
    def end_unless_asked(cls, number: int, _frame: FrameType | None) -> None:
        """The handler outside of `listening`, where nothing has to be saved."""
        if not cls.asked:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


@contextmanager
def handled(handler: Handler, numbers: Sequence[signal.Signals] = STOPS) -> Iterator[None]:
    """Have signals handled so while the block runs; outside of the main thread they are that one's."""
    before = handle(handler, numbers) if threading.current_thread() is threading.main_thread() else {}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def handle(handler: Handler, numbers: Sequence[signal.Signals]) -> dict[signal.Signals, Any]:
    """Have signals handled so, but for those that whoever started this process had it ignore; the handlers before.

    nohup has SIGHUP ignored, for one.
    """
    taken = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in taken}
