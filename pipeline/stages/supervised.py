"""The work of a stage that leads a Ray cluster, in a process of its own: Ray ends that process when its cluster goes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from pipeline.errors import RegattaError, Stopped
from pipeline.schema.cluster import ClusterConfig
from pipeline.stages.entry import die_with_parent, read_params, section
from pipeline.train.runs import FRESH, LOST

MOST_ENDS, QUICK_S = 4, 120.0
"""So often in a row it may end so soon after its start."""


def supervised(stage: str, work: Callable[[], None]) -> None:
    """Run the work; on Ray in a process that is started again whenever it is ended from outside, to go on from the last save.

    Raises what the work raises, Stopped after SIGTERM, and RegattaError where it is ended again and again.
    """
    if section(read_params(), "cluster", ClusterConfig).kind == "local":
        work()
        return
    soon = 0
    while True:
        started = time.monotonic()
        with _sigterm_passed_on() as ward:
            how = ward.ended(work)
        if how is None:
            return
        if ward.asked:
            raise Stopped("stopped by SIGTERM before the work had begun; the same command goes on from the last save")
        soon = soon + 1 if time.monotonic() - started < QUICK_S else 1
        if soon == MOST_ENDS:
            raise RegattaError(f"{how}. So it went {soon} times in a row, soon after the start; say the same command again")
        os.environ[LOST] = how
        os.environ.pop(FRESH, None)  # what was begun afresh goes on
        print(f"{stage}: {how}; starts again from the last save", flush=True)


class _Ward:
    """One process at the work."""

    pid: int | None = None
    asked = False

    def ended(self, work: Callable[[], None]) -> str | None:
        """Wait for the end: None where the work is done, the reason where somebody ended its process; raises its error."""
        context = multiprocessing.get_context("fork")  # nothing is running yet, and nothing has to be imported again
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_begin, args=(work, sender))
        process.start()
        self.pid = process.pid
        sender.close()
        if self.asked:
            self.pass_on()
        try:
            error = receiver.recv()
        except EOFError:
            process.join()
            assert process.exitcode is not None
            return f"the process that led the work has gone ({_worded(process.exitcode)})"
        process.join()
        if error is not None:
            raise error
        return None

    def pass_on(self, *_: object) -> None:
        """SIGTERM, once there is a process."""
        self.asked = True
        if self.pid:
            os.kill(self.pid, signal.SIGTERM)


def _begin(work: Callable[[], None], sender: Connection) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    die_with_parent()
    error: BaseException | None = None
    try:
        work()
    except (RegattaError, KeyboardInterrupt) as own:
        error = own
    except BaseException:
        traceback.print_exc()
        error = SystemExit(1)
    sys.stdout.flush()
    sender.send(error)


def _worded(code: int) -> str:
    return f"exit code {code}, as when its Ray cluster has gone" if code > 0 else f"ended by {signal.Signals(-code).name}"


@contextmanager
def _sigterm_passed_on() -> Iterator[_Ward]:
    """Ctrl-C reaches the process by itself."""
    ward = _Ward()
    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, ward.pass_on),
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
    }
    try:
        yield ward
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
