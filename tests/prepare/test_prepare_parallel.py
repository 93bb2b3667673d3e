from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from pipeline.prepare import parallel
from pipeline.prepare.parallel import CrashError, beside, ordered


def square(number: int) -> int:
    time.sleep(0.002 * (number % 3))
    return number * number


def crash(number: int) -> int:
    if number == 3:
        os._exit(11)
    return number


def fail(number: int) -> int:
    raise ValueError(f"at {number}")


def weigh(number: int) -> int:
    return 1


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_in_order_for_any_number_of_workers(workers: int) -> None:
    for threads in (False, True):
        found = ordered(square, range(40), weigh, workers, patience_s=0, threads=threads)
        assert list(found) == [(i, i * i) for i in range(40)]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_what_is_done_side_by_side_comes_in_the_order_asked_for(workers: int) -> None:
    assert beside([lambda: 1, lambda: "two", lambda: None], workers) == [1, "two", None]
    with pytest.raises(ValueError, match="at 2"):
        beside([lambda: 1, lambda: fail(2)], workers)


def test_threads_are_of_this_process_and_their_errors_arrive() -> None:
    pids = {pid for _, pid in ordered(process_id, range(5), weigh, 2, patience_s=0, threads=True)}
    assert pids == {os.getpid()}
    with pytest.raises(ValueError, match="at 0"):
        list(ordered(fail, range(9), weigh, 2, patience_s=0, threads=True))


def test_short_work_starts_no_process() -> None:
    pids = {pid for _, pid in ordered(process_id, range(5), weigh, 8, patience_s=60)}
    assert pids == {os.getpid()}
    assert os.getpid() not in {pid for _, pid in ordered(process_id, range(5), weigh, 2, patience_s=0)}


def process_id(_: int) -> int:
    return os.getpid()


def test_tasks_are_drawn_as_the_budget_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "BUDGET_BYTES", 10)
    drawn = 0

    def tasks() -> Iterator[int]:
        nonlocal drawn
        for i in range(20):
            drawn = i
            yield i

    for task, _ in ordered(square, tasks(), lambda _: 6, 2, patience_s=0):
        assert drawn <= task + 1
    for task, _ in ordered(square, tasks(), lambda _: 100, 2, patience_s=0):
        assert drawn <= task + 1


def test_errors_come_through() -> None:
    with pytest.raises(ValueError, match="at 0"):
        list(ordered(fail, range(3), weigh, 2, patience_s=0))


def test_a_crashed_worker_is_noticed() -> None:
    with pytest.raises(CrashError) as caught:
        list(ordered(crash, range(30), weigh, 2, patience_s=0))
    assert 3 in caught.value.tasks


def test_stopping_early_ends_the_workers() -> None:
    results = ordered(square, iter(range(10**9)), weigh, 2, patience_s=0)
    assert next(results) == (0, 0)
    results.close()
