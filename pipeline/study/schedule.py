"""Jobs over workers until every run has a result: started, watched, and given to another worker when one is lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.errors import RegattaError, Stopped
from pipeline.progress import Display, Pace, duration
from pipeline.study.forecast import Forecast
from pipeline.study.job import Job
from pipeline.study.result import Result
from pipeline.train.stopping import StopRequest

WAIT_S = 0.5
MOST_LOSSES = 3
"""So often a single run may take its worker with it."""


@dataclass(frozen=True)
class Done:
    """A job's results."""

    results: list[Result]


@dataclass(frozen=True)
class Told:
    """A job's share that is done."""

    share: float


@dataclass(frozen=True)
class JobLost:
    """A worker that has gone, or lacked memory."""

    reason: str
    memory: bool = False


@dataclass(frozen=True)
class Failed:
    """An error that ends the study."""

    error: RegattaError | Stopped


Event = Done | Told | JobLost | Failed


class Workers(Protocol):
    """Where jobs run."""

    def has_place(self, job: Job) -> bool:
        """Whether another job can start beside those at work."""

    def start(self, job: Job) -> int:
        """Start a job; its number."""

    def events(self, timeout_s: float) -> list[tuple[int, Event]]:
        """What has happened, waiting for at most so long for the first of it."""

    def stop(self) -> None:
        """Ask the jobs to save and end, and wait for them."""


class Agenda(Protocol):
    """Where jobs come from and their results go; other processes may be at the same runs."""

    jobs: list[Job]
    """As they were planned."""
    known: int
    """Runs that had results before."""

    @property
    def complete(self) -> bool:
        """Whether every run has a result."""

    def look(self) -> list[Job]:
        """More jobs, once no planned one is left to start."""

    def claim(self, job: Job) -> Job | None:
        """The job to start; None: others have its runs."""

    def take(self, job: Job, results: list[Result]) -> None: ...

    def give_up(self, job: Job, reason: str) -> None:
        """Go on without a job's results."""

    def news(self, idle: bool) -> tuple[list[Job], list[str]]:
        """Runs that others have finished since, and lines to say; called at every turn. idle: nothing is at work here."""


@dataclass
class Running:
    """A job that is at work."""

    job: Job
    losses: int
    started: float = field(default_factory=time.monotonic)
    pace: Pace = field(default_factory=Pace)


def carry_out(agenda: Agenda, workers: Workers) -> None:
    """Run all jobs, the longest first, and hand each one's results back as it ends, until every run has a result.

    A job whose worker is lost starts again where it was saved, the second time in halves, and so does one that lacks memory.
    Single runs that took their workers with them `MOST_LOSSES` times are given up. Raises Stopped after a signal, and the
    first error that is not a run's own.
    """
    waiting = queue(agenda.jobs)
    running: dict[int, Running] = {}
    display = StudyDisplay(agenda.jobs, agenda.known)
    stop = StopRequest()
    with stop.listening():
        try:
            while not agenda.complete:
                waiting = waiting or queue(agenda.look())
                while waiting and workers.has_place(waiting[-1][0]):
                    job, losses = waiting.pop()
                    if (own_job := agenda.claim(job)) is not None:
                        running[workers.start(own_job)] = Running(own_job, losses)
                display.hear(*agenda.news(idle=not running))
                for number, event in workers.events(WAIT_S) if running else nothing(WAIT_S):
                    match event:
                        case Told(share):
                            running[number].pace.at(share)
                        case Done(results):
                            run = running.pop(number)
                            agenda.take(run.job, results)
                            run.pace.at(1.0)
                            display.forecast.ended(run.job, run.pace, run.started)
                            display.done(run.job)
                        case JobLost(reason, memory):
                            run = running.pop(number)
                            display.shown.say(f"study: {reason}; its {len(run.job.cells)} runs start again")
                            again = after_loss(run.job, run.losses + 1, memory)
                            waiting += again
                            if not again:
                                agenda.give_up(run.job, reason)
                        case Failed(error):
                            raise error
                if stop.signal:
                    raise stop.error("between two steps; the same command goes on from there")
                display.show([(run.job, run.pace) for run in running.values()], [job for job, _ in waiting])
        finally:
            workers.stop()
            display.shown.close()


def queue(jobs: Sequence[Job]) -> list[tuple[Job, int]]:
    """Jobs with the times that they were lost; the longest is last, where the next one is taken."""
    return [(job, 0) for job in sorted(jobs, key=lambda job: job.work)]


def nothing(wait_s: float) -> list[tuple[int, Event]]:
    """What happens within so long when no job is at work."""
    time.sleep(wait_s)
    return []


def after_loss(job: Job, losses: int, memory: bool) -> list[tuple[Job, int]]:
    """What to do about a job whose worker was lost for the `losses`th time; nothing: give it up."""
    if len(job.cells) > 1 and (memory or losses > 1):
        return [(half, 0) for half in job.halves()]
    return [] if memory or losses >= MOST_LOSSES else [(job, losses)]


class StudyDisplay:
    """Shows how many runs have results, those at work as far as they are, and how long the rest takes."""

    def __init__(self, jobs: Sequence[Job], known: int) -> None:
        self.known, self.num_done, self.forecast = known, 0, Forecast()
        self.shown = Display("study", "run", known + sum(len(job.cells) for job in jobs), known)

    def done(self, job: Job) -> None:
        """A job's runs have their results."""
        self.num_done += len(job.cells)

    def hear(self, done: Sequence[Job], lines: Sequence[str]) -> None:
        """What others have done, and what there is to say."""
        for job in done:
            self.done(job)
        for line in lines:
            self.shown.say(line)

    def show(self, running: Sequence[tuple[Job, Pace]], waiting: Sequence[Job]) -> None:
        """How far it is, and once there is something to tell it from, how long it takes; others' runs aside."""
        done = self.known + self.num_done + sum(len(job.cells) * pace.done for job, pace in running)
        seconds = self.forecast.left(running, waiting)
        left = "" if seconds is None else f"{duration(seconds)} left"
        if self.shown.at(round(done, 1), left):
            self.shown.say(self.shown.line(left))


def clear_state(job: Job) -> None:
    """Forget the saved state of runs that have results."""
    with contextlib.suppress(FileNotFoundError):
        Path(job.state).unlink()
