"""How long a study's jobs take: from how fast they go or went, or tried beforehand. Imports no torch before it tries."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from pipeline.data.dataset import Manifest
from pipeline.data.features import as_features
from pipeline.kinds.kind import FEATURES
from pipeline.progress import Pace
from pipeline.study.job import Job

OWN_SHARE = 0.1
"""From this share on a job's own pace tells its rest, before it that of all jobs: a core may be busy for a moment."""
START_S = 0.2
"""What a job takes until its first step, once torch is loaded."""


class Forecast:
    """The time left of a study, from the pace of the jobs that run and of those that have ended."""

    def __init__(self) -> None:
        self.seconds = self.work = 0.0
        """Of the jobs that have ended, without what they took to start."""
        self.start_s: float | None = None
        """What the quickest of them took to start, those aside that waited for torch to be loaded."""
        self.most_at_once = 0
        self.up: float | None = None
        """When the first sign of any of them came."""

    def ended(self, job: Job, pace: Pace, started: float) -> None:
        """A job has its results; one that ended before it had told of itself says nothing. started: by time.monotonic."""
        seconds = pace.seconds_of_all(1.0, basis_s=0.0)
        if seconds is not None and pace.first is not None:
            start_s, self.up = pace.first[0] - started, min(pace.first[0], self.up or pace.first[0])
            self.seconds, self.work = self.seconds + seconds, self.work + job.work
            if started >= self.up:
                self.start_s = start_s if self.start_s is None else min(start_s, self.start_s)

    def left(self, running: Sequence[tuple[Job, Pace]], waiting: Iterable[Job]) -> float | None:
        """Seconds until all of them have ended; None before there is anything to tell it from."""
        whole_of = {id(job): whole for job, pace in running if (whole := pace.seconds_of_all(1.0)) is not None}
        seen = [(job, pace.seen_share, whole) for job, pace in running if (whole := whole_of.get(id(job))) is not None]
        seconds = self.seconds + sum(whole * share for _, share, whole in seen)
        work = self.work + sum(job.work * share for job, share, _ in seen)
        self.most_at_once = max(self.most_at_once, len(running))
        if not work or not running:
            return None
        each = seconds / work
        told = {id(job): whole_of[id(job)] for job, pace in running if pace.done >= OWN_SHARE and id(job) in whole_of}
        busy = [told.get(id(job), job.work * each) * (1 - pace.done) for job, pace in running]
        free = [0.0] * (self.most_at_once - len(running))
        return makespan([*busy, *free], [(self.start_s or 0.0) + job.work * each for job in waiting])


def makespan(busy: Sequence[float], waiting: Iterable[float]) -> float:
    """Seconds until all is done, where whoever is free first takes the longest that waits. busy: what each is still at."""
    ends = list(busy)
    heapq.heapify(ends)
    for seconds in sorted(waiting, reverse=True):
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)


class Missing(Protocol):
    """A study's jobs without results, and how many of them can run at once."""

    @property
    def jobs(self) -> Sequence[Job]:
        """At least one."""

    @property
    def workers(self) -> int:
        """At least one."""


def tried(todo: Missing, data: Manifest) -> float:
    """Seconds that a study's jobs take, by trying each kind of job here and now."""
    started = time.perf_counter()
    from pipeline.data.views import Views
    from pipeline.train.trial import expected_seconds

    start_s = time.perf_counter() - started  # a study's own process loads torch as well
    known: dict[object, float] = {}
    for job in todo.jobs:
        if _kind(job) not in known:
            views = [Views([], cell.policy, cell.views) for cell in job.cells]
            lanes = [cell.lane for cell in job.cells]
            seen = as_features(data, job.program.spec.num_inputs) if job.kind == FEATURES else data
            own = replace(seen, counts={**seen.counts, "train": job.num_train, "val": job.num_val})
            known[_kind(job)] = expected_seconds(job.program, lanes, views, own, job.device, job.threads)
    return start_s + makespan([0.0] * todo.workers, [START_S + known[_kind(job)] for job in todo.jobs])


def _kind(job: Job) -> object:
    """Jobs of one kind take equally long."""
    policies = tuple(sorted((cell.views, cell.lane.dropout > 0) for cell in job.cells))
    return job.program, job.device, job.threads, policies
