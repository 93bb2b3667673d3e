"""The work of a stage that leads a Ray cluster, in a process of its own: Ray ends that process when its cluster goes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from types import FrameType

from pipeline.artifacts import cells_root, runs_root, tensors_digest
from pipeline.errors import ENDS, Interrupted, RegattaError, Stopped
from pipeline.processes import die_with_parent, full_disk_told, memory_limit_told, this_process
from pipeline.runs.find import Asked
from pipeline.schema.cluster import ClusterConfig
from pipeline.stages.entry import read_params, section
from pipeline.train.stopping import STOPS, Process, handle, handled

ACCEPT_CODE, FRESH = "REGATTA_ACCEPT_CODE", "REGATTA_FRESH"
CTRL_C = "Ctrl-C"
MOST_ENDS = 4
"""So often in a row the process may be ended without anything saved in between."""


def supervise(stage: str, work: Callable[[Asked], None]) -> None:
    """Run the work, told what is asked of the runs that are there.

    On Ray it is in a process that is started again whenever it is ended from outside, to go on from the last save.

    Raises what the work raises, Stopped after a signal, and RegattaError where it is ended again and again.
    """
    if section(read_params(), "cluster", ClusterConfig).kind == "local":
        work(asked())
        return
    ends, how = 0, None
    while True:
        before = _saved()
        how = _ended(partial(work, asked(how)))
        if how is None:
            return
        ends = ends + 1 if _saved() == before else 1
        if ends == MOST_ENDS:
            raise RegattaError(f"{how}. So it went {ends} times in a row without anything saved; say the same command again")
        print(f"{stage}: {how}; starts again", flush=True)


def asked(lost: str | None = None) -> Asked:
    """What `regatta run` hands its stages about runs that are there, in its environment since it changes no result.

    lost: why a process before this one has gone.
    """
    return Asked(bool(os.environ.get(ACCEPT_CODE)), os.environ.get(FRESH) or None, lost)


def _saved() -> set[tuple[str, str]]:
    """What there is of states and results, with the contents of the states."""
    states = [*runs_root().glob("*/state.safetensors"), *cells_root().glob("*.safetensors")]
    return {(str(path), tensors_digest(path)) for path in states} | {(str(path), "") for path in cells_root().glob("*.json")}


def _ended(work: Callable[[], None]) -> str | None:
    """Do the work in a process of its own: None where it is done, the reason where somebody ended the process."""
    context = multiprocessing.get_context("fork")  # neither torch nor Ray is here yet, and nothing has to be imported again
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_begin, args=(work, this_process(), receiver, sender))
    with _signals_taken() as taken:
        process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        assert process.pid is not None
        taken.lead_to(process.pid)
        sender.close()
        try:
            error: BaseException | None = receiver.recv()
        except EOFError:  # it has not said how it ended
            process.join()
            if taken.asked:
                kind = Interrupted if taken.asked == CTRL_C else Stopped
                raise kind(f"stopped by {taken.asked}; the same command goes on from the last save") from None
            return f"the process that led the work has gone ({_worded(process.exitcode or 0)})"
        process.join()
        if error is not None:
            raise error
        return None


def _worded(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}, as when its Ray cluster has gone"


class _Taken:
    """The signals that the parent has got; it hands them on, but for Ctrl-C, which reaches the process by itself."""

    pid: int | None = None
    asked: str | None = None
    early: int | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        Process.asked = True
        self.asked = CTRL_C if number == signal.SIGINT else signal.Signals(number).name
        if self.pid is None:  # it came before the process, which then has not got it
            self.early = number
        elif number != signal.SIGINT:
            self._hand_on(number)

    def lead_to(self, pid: int) -> None:
        """The process is there."""
        self.pid = pid
        if self.early is not None:
            self._hand_on(self.early)

    def _hand_on(self, number: int) -> None:
        assert self.pid is not None
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.kill(self.pid, number)


@contextmanager
def _signals_taken() -> Iterator[_Taken]:
    """Take signals here. They wait until the new process can take them as well, but for those that another thread takes."""
    taken = _Taken()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        with handled(taken):
            yield taken
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def _begin(work: Callable[[], None], starter: str, receiver: Connection, sender: Connection) -> None:
    receiver.close()  # else sending would wait for ever where the parent has been killed
    handle(_stop, (signal.SIGTERM, signal.SIGHUP))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    error: BaseException | None = None
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        die_with_parent(starter)
        with memory_limit_told(), full_disk_told():
            work()
    except (*ENDS, KeyboardInterrupt, BrokenPipeError) as own:
        error = own
    except BaseException:
        traceback.print_exc()
        error = SystemExit(1)
    with contextlib.suppress(BrokenPipeError):  # the parent looks for readers itself
        sys.stdout.flush()
    sender.send(error)


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(f"stopped by {signal.Signals(number).name}; the same command goes on from the last save")
