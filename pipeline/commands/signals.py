"""Signals that ask a command to stop: obeyed where everything is whole, noted where files are being written."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from pipeline.errors import Stopped
from pipeline.train.stopping import STOPS, handled

T = TypeVar("T")
LOOK_S = 0.1
GRACE_S = 2.0
"""Ctrl-C reaches what was started by itself; only what has not ended after so long is told by us."""


class Asked:
    """Which signal has asked for a stop first, and when."""

    signal: signal.Signals | None = None
    at: float = 0.0

    def note(self, number: int, _frame: FrameType | None) -> None:
        """The handler."""
        if self.signal is None:
            self.signal, self.at = signal.Signals(number), time.monotonic()

    def obey(self, words: str = "the same command goes on from here") -> None:
        """Stopped or KeyboardInterrupt where a signal has come."""
        if self.signal is signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise Stopped(f"stopped by {self.signal.name}; {words}")


@contextmanager
def noted() -> Iterator[Asked]:
    """Note signals while the block runs, which obeys them where it may; those that it has left are obeyed at its end."""
    asked = Asked()
    with handled(asked.note):
        yield asked
        asked.obey()


@contextmanager
def stopping() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block by Stopped, as Ctrl-C does by KeyboardInterrupt."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Stopped(f"stopped by {signal.Signals(number).name}; the same command goes on from here")

    with handled(stop, STOPS[:2]):
        yield


def aside(work: Callable[[], T], asked: Asked) -> T:
    """Do the work in a thread, where no signal interrupts it; the processes that it starts are told to stop."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        _wait(done, asked)
        return done.result()


def _wait(done: Future[T], asked: Asked) -> None:
    told: set[int] = set()
    while not done.done():
        wait([done], LOOK_S)
        if asked.signal and time.monotonic() - asked.at >= (GRACE_S if asked.signal is signal.SIGINT else 0):
            told |= _tell_children(told)


def _tell_children(told: set[int]) -> set[int]:
    """SIGTERM to each process that this one has started and not told yet; their numbers."""
    import psutil

    children = {child.pid: child for child in psutil.Process().children() if child.pid not in told}
    for child in children.values():
        try:
            child.terminate()
        except psutil.NoSuchProcess:  # it has ended meanwhile
            continue
    return set(children)
