"""Care of processes: they end with the one that has started them, without a word where nobody reads theirs, and what
they say is plain text, whatever the names in it hold."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import resource
import select
import shutil
import signal
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

from pipeline.errors import RegattaError, StorageError

LONGEST_WORD, LONGEST_LINE = 400, 4000
"""Of what is printed. The longest path of the file system's names is 255 a name."""
STARTER = "REGATTA_STARTER"
"""The process that a stage, or a run in a worktree, has been started by, as `this_process` names it."""
UNREAD = 128 + signal.SIGPIPE
"""The exit code of a command whose reader has gone, as shells give it to Unix tools."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The system's words for a disk, or a share of it, that takes nothing more."""
_PR_SET_PDEATHSIG = 1


def this_process() -> str:
    """The name under which this process hands itself over to those that it starts (see `die_with_parent`)."""
    return _name(os.getpid())


def busy_cores(over_s: float = 0.25) -> float:
    """How many of the cores that this process may use are taken, while it waits for so long itself."""
    import psutil

    shares: list[float] = psutil.cpu_percent(over_s, percpu=True)
    return sum(shares[core] for core in os.sched_getaffinity(0)) / 100


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


def is_at_work(pid: int, since: float = float("inf")) -> bool:
    """Whether the process that had this number at that time (in s since 1970) runs; one that nobody has waited for does not."""
    import psutil

    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= since + 1)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # another user's
        return True


def _name(pid: int) -> str:
    """The number and when it began, since numbers are used again; the number alone where nothing is there or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return f"{pid}"
    return f"{pid}" if fields[0] in "ZX" else f"{pid} {fields[19]}"


class Plain:
    """A stream in which a name can neither move the cursor, nor turn the direction of writing, nor fill the screen.

    Control and format characters are written as escapes; all but line breaks, tabs, and the carriage return that a
    progress bar begins and ends with. Long words and lines lose their middle.
    """

    def __init__(self, stream: Any) -> None:
        """Around a text stream, whose other methods stay its own."""
        self.stream = stream

    def write(self, text: str) -> int:
        """Write it, made plain."""
        self.stream.write(plain_text(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def plain_text(text: str) -> str:
    """What may be shown of a text: nothing but characters that stay where they are."""
    bare = text.strip("\r")
    begin, end = text[: len(text) - len(text.lstrip("\r"))], text[len(text.rstrip("\r")) :] if bare else ""
    if not bare.isprintable():
        bare = "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in bare)
    if len(bare) > LONGEST_WORD:
        bare = re.sub(rf"\S{{{LONGEST_WORD + 1},}}", lambda found: _cut(found[0], LONGEST_WORD), bare)
        bare = re.sub(rf"[^\n]{{{LONGEST_LINE + 1},}}", lambda found: _cut(found[0], LONGEST_LINE), bare)
    return begin + bare + end


def one_line(text: str) -> str:
    """A name of somebody else's as a part of a line: plain text without line breaks and tabs, however long."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    # Blanks of other scripts stay where they are, and what joins letters of Persian or parts of a picture.
    stays = unicodedata.category(character) == "Zs" or character in "\u200c\u200d"
    return character if stays else ascii(character)[1:-1]


def _cut(text: str, most: int) -> str:
    return f"{text[: most // 2]}...({len(text) - most // 2 - most // 4:,} more)...{text[-(most // 4) :]}"


def show_plainly() -> None:
    """Make plain text of whatever is printed from here on: in a process of its own, to its end."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (one if isinstance(one, Plain) else cast(TextIO, Plain(one)) for one in streams)


@contextmanager
def shown_plainly() -> Iterator[None]:
    """Make plain text of whatever is printed."""
    before = sys.stdout, sys.stderr
    show_plainly()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


@contextmanager
def memory_limit_told() -> Iterator[None]:
    """RegattaError where a limit of this process's address space is what ends the block."""
    try:
        yield
    except (MemoryError, ImportError, OSError, RuntimeError, SystemError) as error:
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit == resource.RLIM_INFINITY or not _lacks_memory(error):
            raise
        raise lack_of_memory(_said(error)) from None


def lack_of_memory(said: str) -> RegattaError:
    """What to tell where memory lacks, or may: the limit that is set here, if there is one."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return RegattaError(f"{said}, perhaps for lack of memory; say the same command again")
    return RegattaError(
        f"the limit of memory set here, `ulimit -v` = {limit // 1024:,} kB, is too small ({said}); "
        "say `ulimit -v unlimited`, or ask the system that started this for more, then the same command again"
    )


@contextmanager
def full_disk_told() -> Iterator[None]:
    """StorageError where a disk that takes nothing more ends the block, wherever that is not said with more words."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL and not any(os.strerror(number) in str(error) for number in FULL):
            raise
        place, why = error.filename2 or error.filename or "what is printed or kept", error.strerror or _said(error)
        if isinstance(error, shutil.Error):  # of a whole folder: a list of files, places and reasons
            _, place, why = error.args[0][0]
        raise StorageError(
            f"{place}: can't be written ({why}); free space on that disk, then say the same command again"
        ) from None


def _lacks_memory(error: BaseException) -> bool:
    """By type or, where a library has given it another one, by what it says or was caused by."""
    words = ("memory", "map segment", "new thread", "resource temporarily unavailable")
    cause = error.__cause__ or error.__context__
    said = str(error).lower()
    known = isinstance(error, MemoryError | SystemError)
    return known or any(w in said for w in words) or (cause is not None and _lacks_memory(cause))


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextmanager
def quiet_when_unread() -> Iterator[None]:
    """Exit as Unix tools do, with nothing said, where the reader of what is printed has gone (`regatta runs | head -1`).

    Where it goes to a disk that is full, that is said on the other stream.
    """
    try:
        try:
            with shown_plainly():
                yield
        finally:
            sys.stdout.flush()  # here, and not at the exit of the interpreter, which would say so
    except BrokenPipeError:
        if not _left_unread():
            raise
        raise SystemExit(UNREAD) from None
    except OSError as error:
        if error.errno not in FULL:
            raise
        _write_nowhere(sys.stdout.fileno())
        print(f"what is printed: can't be written ({error.strerror}); free space on that disk", file=sys.stderr, flush=True)
        raise SystemExit(StorageError.exit_code) from None


def _left_unread() -> bool:
    """Whether standard output or error has lost its reader; what is still to be written there goes nowhere."""
    unread = [stream.fileno() for stream in (sys.stdout, sys.stderr) if _has_no_reader(stream.fileno())]
    for place in unread:
        _write_nowhere(place)
    return bool(unread)


def _write_nowhere(place: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, place)
    os.close(nowhere)


def _has_no_reader(place: int) -> bool:
    asked = select.poll()
    asked.register(place, 0)
    return any(told & select.POLLERR for _, told in asked.poll(0))
