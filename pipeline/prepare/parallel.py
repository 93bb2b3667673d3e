"""Work spread over processes or threads, results in order, memory bounded.

Processes where it is mostly Python, as decoding small images is: CIFAR-10 on 2 cores took 166 us an image with two threads,
119 with one and 79 with two processes. Threads where it is done outside of the interpreter, as on columns of tables.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from pipeline import extensions
from pipeline.processes import die_with_parent, show_plainly, this_process

Task = TypeVar("Task")
Result = TypeVar("Result")

BUDGET_BYTES = 400 * 2**20
"""What the tasks handed out may weigh together; a heavier one is handed out alone."""
PATIENCE_S = 0.5
"""Starting processes takes about as long, so short work is done without them."""


class CrashError(Exception):
    """A process ended before its work; carries the tasks that were handed out, one of which it was doing."""

    def __init__(self, tasks: list[Any]) -> None:
        super().__init__(tasks)
        self.tasks = tasks


def num_workers() -> int:
    """One process per core that we may use, up to 16 (each takes about 40 MB)."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 16)


def ordered(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    weigh: Callable[[Task], int],
    workers: int,
    patience_s: float | None = None,
    threads: bool = False,
) -> Iterator[tuple[Task, Result]]:
    """(task, function(task)) in the order of the tasks, the same for any number of workers; `weigh`: bytes a task needs."""
    waiting = iter(tasks)
    deadline = time.monotonic() + (PATIENCE_S if patience_s is None else patience_s)
    while workers == 1 or time.monotonic() < deadline:
        try:
            task = next(waiting)
        except StopIteration:
            return
        yield task, function(task)
    pool = ThreadPoolExecutor(workers) if threads else _processes(workers)
    try:
        yield from _pooled(pool, function, waiting, weigh, 3 * workers)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def beside(work: Sequence[Callable[[], Any]], workers: int) -> list[Any]:
    """What some functions give, done side by side in threads unless there is one worker."""
    if workers == 1:
        return [one() for one in work]
    with ThreadPoolExecutor(min(workers, len(work))) as pool:
        return [future.result() for future in [pool.submit(one) for one in work]]


def _processes(workers: int) -> Executor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(this_process(), extensions.came_along()))


def _pooled(
    pool: Executor,
    function: Callable[[Task], Result],
    tasks: Iterator[Task],
    weigh: Callable[[Task], int],
    num_ahead: int,
) -> Iterator[tuple[Task, Result]]:
    flying: deque[tuple[Task, int, Future[Result]]] = deque()
    load = 0
    try:
        for task in tasks:
            weight = weigh(task)
            while flying and (load + weight > BUDGET_BYTES or len(flying) >= num_ahead):
                done, freed, future = flying[0]
                yield done, future.result()
                flying.popleft()
                load -= freed
            flying.append((task, weight, pool.submit(function, task)))
            load += weight
        while flying:
            done, _, future = flying[0]
            yield done, future.result()
            flying.popleft()
    except BrokenProcessPool:
        raise CrashError([task for task, _, _ in flying]) from None


def _start_worker(starter: str, code: Path | None) -> None:
    """Ctrl-C is the parent's business; a killed parent takes its workers along. code: where the user's own lies,
    if not here."""
    show_plainly()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(starter, by=signal.SIGKILL)
    if code:
        extensions.take_from(code)
