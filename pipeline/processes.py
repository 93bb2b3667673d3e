"""Care of processes: they end with the one that has started them, and without a word where nobody reads theirs."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STARTER = "REGATTA_STARTER"
"""The process that a stage, or a run in a worktree, has been started by, as `this_process` names it."""
UNREAD = 128 + signal.SIGPIPE
"""The exit code of a command whose reader has gone, as shells give it to Unix tools."""
_PR_SET_PDEATHSIG = 1


def this_process() -> str:
    """The name under which this process hands itself over to those that it starts (see `die_with_parent`)."""
    return _name(os.getpid())


def parent_process() -> str:
    """The name of the parent, for a process to which none was handed over."""
    return _name(os.getppid())


def die_with_parent(starter: str, by: signal.Signals = signal.SIGTERM) -> None:
    """Get a signal when the parent ends, and at once where `starter`, which may stand above the parent, has ended already.

    The system tells of deaths to come alone, so the starter, who has handed over its name, is looked for after asking.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)
    if not is_alive(starter):
        signal.raise_signal(by)


def is_alive(process: str) -> bool:
    """Whether the process of this name is there; one that has ended is not, be it collected by its own parent or not."""
    return _name(int(process.split()[0])) == process


def _name(pid: int) -> str:
    """The number and when it began, since numbers are used again; the number alone where nothing is there or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return f"{pid}"
    return f"{pid}" if fields[0] in "ZX" else f"{pid} {fields[19]}"


@contextmanager
def quiet_when_unread() -> Iterator[None]:
    """Exit as Unix tools do, with nothing said, where the reader of what is printed has gone (`regatta runs | head -1`)."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # here, and not at the exit of the interpreter, which would say so
    except BrokenPipeError:
        if not _left_unread():
            raise
        raise SystemExit(UNREAD) from None


def _left_unread() -> bool:
    """Whether standard output or error has lost its reader; what is still to be written there goes nowhere."""
    unread = [stream.fileno() for stream in (sys.stdout, sys.stderr) if _has_no_reader(stream.fileno())]
    for place in unread:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, place)
        os.close(nowhere)
    return bool(unread)


def _has_no_reader(place: int) -> bool:
    asked = select.poll()
    asked.register(place, 0)
    return any(told & select.POLLERR for _, told in asked.poll(0))
