"""Workers on this machine: processes forked from one that has torch loaded, one for each job."""

from __future__ import annotations

import multiprocessing
import signal
import time
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess

from pipeline.data.memory import lacks_memory
from pipeline.errors import ENDS, RegattaError
from pipeline.processes import (
    die_with_parent,
    full_disk_told,
    lack_of_memory,
    memory_limit_told,
    show_plainly,
    this_process,
)
from pipeline.study.job import Job
from pipeline.study.schedule import Done, Event, Failed, JobLost, Told

TELL_EVERY_S = 0.2
LAST_S = 60.0
"""How long a worker that was asked to stop may take to save."""
_TORN = (EOFError, ConnectionError)


class Processes:
    """Jobs whose threads together are at most `cores`. A worker ends with its starter, saving its state first."""

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["pipeline.study.preloaded"])
        self.jobs: dict[int, tuple[ForkServerProcess, Connection]] = {}
        self.threads: dict[int, int] = {}
        self.started = 0

    def has_place(self, job: Job) -> bool:
        """Whether there are cores left for its threads, or nothing runs; a GPU is for one job alone."""
        taken = sum(self.threads.values())
        return not taken or (job.device == "cpu" and taken + job.threads <= self.cores)

    def start(self, job: Job) -> int:
        """Start a job in a process of its own; its number."""
        own, theirs = self.context.Pipe(duplex=False)
        process = self.context.Process(target=_work, args=(job, theirs, this_process()), daemon=True)
        try:
            process.start()
        except _TORN:
            raise lack_of_memory("the process that workers are forked from has ended") from None
        theirs.close()
        self.started += 1
        self.jobs[self.started] = process, own
        self.threads[self.started] = job.threads
        return self.started

    def events(self, timeout_s: float) -> list[tuple[int, Event]]:
        """What the jobs have sent, and which of them have gone."""
        numbers = {connection: number for number, (_, connection) in self.jobs.items()}
        events: list[tuple[int, Event]] = []
        for ready in wait(list(numbers), timeout_s):
            assert isinstance(ready, Connection)
            number = numbers[ready]
            try:
                event: Event = ready.recv()
            except _TORN:
                process, _ = self.jobs[number]
                process.join()
                event = _ended(process.exitcode)
            if not isinstance(event, Told):
                self._close(number)
            events.append((number, event))
        return events

    def stop(self) -> None:
        """SIGTERM, upon which a worker saves its state and ends; by force where it does not."""
        for process, _ in self.jobs.values():
            process.terminate()
        until = time.monotonic() + LAST_S
        for number, (process, _) in list(self.jobs.items()):
            process.join(max(0.0, until - time.monotonic()))
            if process.exitcode is None:
                process.kill()
            self._close(number)

    def _close(self, number: int) -> None:
        process, connection = self.jobs.pop(number)
        del self.threads[number]
        connection.close()
        process.join()


def _ended(code: int | None) -> Event:
    """Of a worker that has gone without a word: killed, or ended by an error that is no run's own."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return JobLost(f"a worker process has gone ({name}{', perhaps for lack of memory' if name == 'SIGKILL' else ''})")
    return Failed(RegattaError(f"a worker process ended with exit code {code}; what went wrong is said above"))


def _work(job: Job, connection: Connection, starter: str) -> None:
    """A worker's life. Lack of memory and the data's errors are told; any other error is a traceback and exit code 1."""
    die_with_parent(starter)  # its parent is the server of forks, which ends with the starter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the starter, which asks for a stop
    show_plainly()
    told = float("-inf")  # the first step is told: from then on its pace counts

    def send(event: Event) -> None:
        try:
            connection.send(event)
        except BrokenPipeError:  # the starter has gone
            signal.raise_signal(signal.SIGTERM)

    def tell(share: float) -> bool:
        nonlocal told
        if (now := time.monotonic()) - told > TELL_EVERY_S:
            told = now
            send(Told(share))
        return True

    try:
        with memory_limit_told():
            from pipeline.study.pack import run_pack
        with full_disk_told():
            done = Done(run_pack(job, tell))
        send(done)
    except ENDS as error:
        send(Failed(error))
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        send(JobLost(f"{len(job.cells)} runs side by side do not fit into memory", memory=True))
