"""One training over several workers of a Ray cluster, which restarts from its newest state when workers are lost."""

from __future__ import annotations

import getpass
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.exceptions import RayError

from pipeline import artifacts
from pipeline.data.dataset import Dataset
from pipeline.data.views import Views
from pipeline.distributed.connection import connected
from pipeline.distributed.crew import Crew, Needs, NotHired, hire, needs_of, wanted
from pipeline.distributed.shared import SharedData, in_memory
from pipeline.distributed.worker import Ended, Report, Task
from pipeline.errors import ConfigError, NumericsError, RegattaError
from pipeline.runs.find import NOTHING, Asked, find_run
from pipeline.runs.folder import RunFolder
from pipeline.runs.identity import identity
from pipeline.runs.record import OpenTracker, Record, begin
from pipeline.runs.state import Progress, Snapshot
from pipeline.schema.cluster import ClusterConfig
from pipeline.schema.model import ModelConfig
from pipeline.schema.train import TrainConfig
from pipeline.train.device import build_device
from pipeline.train.program import program_of, threads_for
from pipeline.train.stopping import StopRequest
from pipeline.train.watching import tell_unwatched

POLL_S = 0.5
"""Between two reports of a worker; the end of one is noticed at once."""
CULPRIT_S = 2.0
"""So long a worker that says another has gone waits for the one that really has."""
MOST_LOSSES = 4
"""So often in a row workers may be lost without a step having been saved."""


def fit_on_cluster(
    model: ModelConfig,
    train: TrainConfig,
    data: Dataset,
    views: Views,
    open_tracker: OpenTracker,
    cluster: ClusterConfig,
    asked: Asked = NOTHING,
) -> RunFolder:
    """Train one run with `cluster.workers` processes that share each batch, and return its folder.

    As `fit` does it: the same identity (of "exact", of "fast" another one), the same records, found again in the same
    folder. Lost workers cost what was done since the last save. Raises what `fit` raises, and ConfigError for a cluster
    that can't hold the workers.
    """
    if train.profiler:
        raise ConfigError(
            f"train.profiler = {train.profiler!r}: workers elsewhere are not profiled; "
            "say cluster=local, or train.profiler=null"
        )
    device = build_device(train.device)
    program, lane = program_of(model, train, data.manifest, device)
    check_shards(train, cluster, program.batch_size)
    threads = threads_for(program, train.threads, max(2, train.shards))
    needs = needs_of(cluster, device, threads)
    about = data.manifest.kind, data.manifest.digest, views.digest, device, cluster.reduce
    this_run = identity(model, train, *about, prepared=data.manifest.features_of)
    folder, todo = find_run(this_run, asked)
    if todo == "done":
        tell_unwatched(train.callbacks, folder.read().get("callbacks", []), folder.id)
        return folder
    with folder.held():
        num_train = data.manifest.num_train(program.limit)
        record = Record(folder, program, num_train, threads, device)
        snapshot = begin(
            record, this_run, train, asked, resume=todo == "resume", reduce=cluster.reduce, num_workers=cluster.workers
        )
        task = Task(
            program, lane, views.policy, views.digest, device, threads, cluster.workers, cluster.reduce, cluster.timeout_s,
            train.save_every_s, tuple(train.callbacks),
        )  # fmt: skip
        again = asked.lost is not None
        with record.shown(snapshot, open_tracker), connected(cluster, threads * cluster.workers, again):
            Driver(record, task, cluster, needs, again).run(data, views, snapshot)
    return folder


def check_shards(train: TrainConfig, cluster: ClusterConfig, batch_size: int) -> None:
    """ConfigError where exact sums need more shards, or a batch has too few samples for the workers."""
    if cluster.reduce == "exact" and train.shards * train.accumulate < cluster.workers:
        power = 1 << (cluster.workers - 1).bit_length()
        raise ConfigError(
            f"train.shards = {train.shards}: cluster.reduce=exact needs a shard for each of cluster.workers = "
            f"{cluster.workers}; say train.shards={power} (sums in another order than now), or cluster.reduce=fast"
        )
    if batch_size < cluster.workers:
        raise ConfigError(
            f"train.batch_size = {batch_size}: the whole batch, shared by cluster.workers = {cluster.workers}; "
            "choose at least one sample for each"
        )


@dataclass
class CrewLost(Exception):  # noqa: N818 - no error: the training goes on
    """A worker has gone; the reason in words."""

    reason: str


@dataclass
class Driver:
    """Hires workers, keeps what they hand over, and starts again from it when some of them are lost."""

    record: Record
    task: Task
    cluster: ClusterConfig
    needs: Needs
    again: bool = False
    """Whether workers were at work before, so that there is room for them."""
    losses: int = 0
    """In a row, without a state saved that goes further."""
    saved: tuple[int, int] = (0, 0)
    """Epoch and step of the furthest state."""
    hires: int = 0
    stop: StopRequest = field(default_factory=StopRequest)

    def run(self, data: Dataset, views: Views, snapshot: Snapshot | None) -> None:
        """To the end, whatever is lost on the way."""
        shared = [ray.put(SharedData.of(data, ("train", "val")))]
        stored = [ray.put(in_memory(array)) for array in views.arrays]
        before = self.cluster.workers if self.again else None
        with self.stop.listening():
            while True:
                start = [ray.put(snapshot)]  # none, too: where this node has gone, Ray ends this process now
                try:
                    before = self._attempt(shared, stored, start, before)
                    return
                except (CrewLost, NotHired) as loss:
                    snapshot = self._after(str(getattr(loss, "reason", loss)))
                    before = self.cluster.workers

    def _attempt(self, data: list[Any], views: list[Any], start: list[Any], before: int | None) -> int:
        num = wanted(self.cluster, self.needs, before, self._stop_early)
        self.hires += 1
        crew = hire(num, self.needs, f"{worker_names(self.record.folder)}/{self.hires}", self._stop_early)
        try:
            self.record.display.say(f"train: {crew}, {self.cluster.reduce} sums")
            self.record.display.begin()
            Watch(self, crew).until_ended(data, views, start)
        finally:
            crew.let_go()
        return num

    def _stop_early(self) -> None:
        """A stop before workers are at work: the newest state is on disk already."""
        if self.stop.signal:
            raise self.stop.error("while waiting for workers; the same command goes on from there")

    def _after(self, reason: str) -> Snapshot | None:
        """Note a loss; the newest whole state, or none where nothing was saved yet."""
        self.losses += 1
        if self.losses >= MOST_LOSSES:
            raise RegattaError(
                f"train: {reason}. So it went {self.losses} times in a row without a step saved; look at "
                f"{self.record.folder.path}/logs, then say the same command again"
            )
        snapshot = self.record.folder.load_state() if self.record.folder.states else None
        self.record.go_back(snapshot, reason)
        return snapshot

    def keep(self, snapshot: Snapshot) -> None:
        """A state that the first worker has handed over."""
        self.record.save(snapshot)
        place = snapshot[1]["epoch"], snapshot[1]["step"]
        if place > self.saved:
            self.saved, self.losses = place, 0


class Watch:
    """One crew at work: its reports fetched, its ends noticed, silence taken for a loss."""

    def __init__(self, driver: Driver, crew: Crew) -> None:
        self.driver, self.crew, self.record = driver, crew, driver.record
        self.logs = self.record.folder.path / "logs"
        artifacts.make_dir(self.logs)
        now = time.monotonic()
        self.heard = [now] * len(crew.actors)
        self.asked_at = now
        self.asked: dict[Any, int] = {}
        self.next_ask = [now] * len(crew.actors)
        self.asked_to_stop = False

    def until_ended(self, data: list[Any], views: list[Any], start: list[Any]) -> None:
        """Raises CrewLost, Stopped, NumericsError, or what else has ended the training; returns when it is done."""
        task, first = self._task(), self.crew.actors[0]
        running = {actor.run.remote(task, rank, first, data, views, start): rank for rank, actor in enumerate(self.crew.actors)}
        ended: dict[int, Ended] = {}
        while running:
            ready, _ = ray.wait([*running, *self.asked], num_returns=1, timeout=POLL_S / 2)
            for reference in ready:
                if reference in running:
                    ended[running.pop(reference)] = self._end_of(reference)
                else:
                    self._hear(self.asked.pop(reference), reference)
            self._ask()
            if self.driver.stop.signal and not self.asked_to_stop:
                self.crew.actors[0].stop.remote(self.driver.stop.signal)
                self.asked_to_stop = True
            self._check(ended, running)
        for reference, rank in self.asked.items():  # under way while the last worker ended: they may hold its last state
            self._hear(rank, reference)
        for rank, actor in enumerate(self.crew.actors):
            self._hear(rank, actor.report.remote())
        self._conclude(ended)

    def _task(self) -> Task:
        """Of this crew."""
        task, facts = self.driver.task, self.crew.facts
        one_machine = task.device == "cpu" and sys.platform == "linux" and len({one.node for one in facts}) == 1
        return replace(task, size=len(facts), meeting=secrets.token_hex(16) if one_machine else None)

    def _end_of(self, reference: Any) -> Ended:
        with _losses():
            ended: Ended = ray.get(reference)
        return ended

    def _ask(self) -> None:
        """For a report of each worker that has none outstanding; CrewLost where one has been silent for too long."""
        now, waiting = time.monotonic(), set(self.asked.values())
        deaf_s = max(0.0, now - self.asked_at - POLL_S)  # frozen itself, or at work: nobody was silent meanwhile
        self.heard, self.asked_at = [min(heard + deaf_s, now) for heard in self.heard], now
        for rank, actor in enumerate(self.crew.actors):
            if rank in waiting:
                if now - self.heard[rank] > self.driver.task.timeout_s:
                    facts = self.crew.facts[rank]
                    raise CrewLost(
                        f"worker {rank} on {facts.host} (process {facts.pid}) has been silent for "
                        f"{now - self.heard[rank]:.0f} s (cluster.timeout_s): it is frozen, or its network is cut"
                    )
            elif now >= self.next_ask[rank]:
                self.asked[actor.report.remote()] = rank
                self.next_ask[rank] = now + POLL_S

    def _hear(self, rank: int, reference: Any) -> None:
        """Take a worker's report into the records."""
        with _losses():
            report: Report = ray.get(reference, timeout=self.driver.task.timeout_s)
        self.heard[rank] = time.monotonic()
        if report.lines:
            artifacts.append_lines(self.logs / f"rank-{rank}.log", report.lines)
        for kind, content in report.events:
            if kind == "state":
                self.driver.keep(content)
            elif kind == "logged":
                self.record.folder.log(content)
            else:
                progress, rows = content
                self.record.epoch(Progress(**progress), rows)
        if rank == 0:
            self.record.step(Progress(epoch=report.epoch, step=report.step))

    def _check(self, ended: dict[int, Ended], running: dict[Any, int]) -> None:
        """Where one has ended for lack of another, wait a little for the other's own end, which says more."""
        if running and any(one.how in ("peer", "memory", "defect") for one in ended.values()):
            ready, _ = ray.wait(list(running), num_returns=len(running), timeout=CULPRIT_S)
            for reference in ready:
                ended[running.pop(reference)] = self._end_of(reference)
            self._conclude(ended)

    def _conclude(self, ended: dict[int, Ended]) -> None:
        by_kind = {one.how: (rank, one.text) for rank, one in sorted(ended.items(), reverse=True)}
        if found := by_kind.get("defect"):
            raise RegattaError(f"worker {found[0]} ended by an error:\n{found[1]}")
        if found := by_kind.get("memory"):
            raise ConfigError(too_large(self.driver.task, self.crew.facts[found[0]].host, found[1]))
        if found := by_kind.get("peer"):
            raise CrewLost(f"worker {found[0]}: {found[1]}")
        if found := by_kind.get("not_finite"):
            raise NumericsError(found[1])
        if found := by_kind.get("stopped"):
            raise self.driver.stop.kind(found[1])


def too_large(task: Task, host: str, text: str) -> str:
    """What to say where a worker lacks memory; text: its own words."""
    from pipeline.train.tree import Team  # imports torch, which the driver does without

    shards = task.program.shards
    rows = -(-task.program.batch_size // Team(size=task.size, reduce=task.reduce).num_shards(shards))
    return (
        f"train.shards = {shards}: a shard of {rows} samples does not fit into the memory of {host} ({text}); "
        f"say train.shards={2 * shards}, which cuts the same batch finer"
    )


@contextmanager
def _losses() -> Iterator[None]:
    """Ray's errors about an actor that has gone, in words."""
    try:
        yield
    except RayError as error:
        raise CrewLost(f"a worker has gone ({type(error).__name__}: {' '.join(str(error).split())[:200]})") from None


def worker_names(folder: RunFolder) -> str:
    """What the workers of a run are called on a cluster, before the number of the hire and the rank."""
    return f"{getpass.getuser()}/{folder.id}"
