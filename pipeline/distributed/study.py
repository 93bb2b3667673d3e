"""Jobs of a study on a Ray cluster: resident actors, data shared once per node."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import (
    ActorUnavailableError,
    NodeDiedError,
    ObjectLostError,
    ObjectStoreFullError,
    OutOfDiskError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    WorkerCrashedError,
)

from pipeline import extensions
from pipeline.artifacts import make_dir
from pipeline.data.dataset import open_dataset
from pipeline.data.memory import SHARE_OF_MEMORY, free_bytes, lacks_memory
from pipeline.data.views import open_views
from pipeline.distributed.connection import nodes_alive
from pipeline.distributed.shared import SharedData, in_memory
from pipeline.errors import ENDS, ConfigError, RegattaError, StorageError
from pipeline.runs.identity import training_code
from pipeline.study.job import Capacity, Job, state_path
from pipeline.study.schedule import Done, Event, Failed, JobLost, Told, clear_state

if TYPE_CHECKING:
    from pipeline.data.dataset import Stored
    from pipeline.study.pack import Held

LAST_S = 60.0
"""How long an actor that was asked to stop may take to save."""
ASK_EVERY_S = 1.0
LATE_S = 10.0
"""An actor that has not started for so long waits for a place, which is said as often."""
MOST_PLACES = 3
"""So many actors in a row may vanish before they have started, which is not their job's doing."""
SPLITS_OF_TRAINING = ("train", "val")
GONE = (RayActorError, NodeDiedError, WorkerCrashedError, ObjectLostError)
"""Of an actor that has died with its process or node, or can't be reached."""
Need = tuple[float, float]
"""CPUs and GPUs, of a job or of a node."""


class StudyWorker:
    """A resident actor's body: one job at a time, and how far it is."""

    def __init__(self, torch_version: str, sent: Mapping[str, bytes]) -> None:
        """torch_version: of the process that has named the runs, which their names say. sent: its `extensions.py`."""
        extensions.unpack(sent)
        self.torch_version, self.share, self.going = torch_version, 0.0, True

    def run(self, job: Job, data: list[Any], views: dict[str, Any]) -> Event:
        """Run a job on shared data; what came of it. A defect is raised."""
        try:
            self._check(job)
            from pipeline.study.pack import run_pack

            held = _with_state_here(job)
            done = Done(run_pack(held, self._tell, _held(job, data, views)))
        except ENDS as error:
            return Failed(error)
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            return JobLost(f"{len(job.cells)} runs side by side do not fit into memory", memory=True)
        finally:
            self.share = 0.0
        if held.state != job.state:
            clear_state(held)
        return done

    def _check(self, job: Job) -> None:
        """A result is stored under the code and the torch that its run was named by: they must be those of this node."""
        here, where = version("torch"), os.uname().nodename
        if here != self.torch_version:
            raise ConfigError(f"node {where}: has torch {here}, the study needs {self.torch_version}; install it on every node")
        if training_code(job.kind, extended=job.program.own_network) != job.code:
            raise ConfigError(
                f"node {where}: its code of Regatta is not the study's (installed otherwise there, or edited since the start); "
                "install the same on every node and start the study again"
            )

    def _tell(self, share: float) -> bool:
        self.share = share
        return self.going

    def told(self) -> float:
        """The current job's share that is done."""
        return self.share

    def end(self) -> None:
        """Save the current job's state and end it; nothing runs here any more."""
        self.going = False


def _held(job: Job, data: list[Any], views: dict[str, Any]) -> Held:
    from pipeline.data.views import Views
    from pipeline.study.pack import Held

    [shared] = ray.get(data)
    arrays: dict[str, list[Stored]] = {path: ray.get(refs) for path, refs in views.items()}
    own = [Views(arrays[cell.views_path] if cell.views_path else [], cell.policy, cell.views) for cell in job.cells]
    return Held(shared, own)


def _with_state_here(job: Job) -> Job:
    """The job, its state on this node's own disk where the study's folder can't be reached from here."""
    if Path(job.state).parent.is_dir():
        return job
    folder = Path.home() / ".cache" / "regatta"
    make_dir(folder)
    return replace(job, state=str(folder / Path(state_path(job.cells)).name))


@dataclass(eq=False)
class Actor:
    """A member of the pool."""

    handle: Any
    threads: int
    need: Need
    since: float
    heard: bool = False
    """Whether it has said something, so that it has a place."""

    @property
    def late(self) -> bool:
        """Whether it should have started long ago."""
        return not self.heard and time.monotonic() - self.since > LATE_S


@dataclass(eq=False)
class Running:
    """A job on an actor."""

    job: Job
    actor: Actor
    result: Any
    asked: Any
    """The answer to how far it is."""
    vanished: int = 0
    """Actors that have gone before they had started."""


def actors() -> Actors:
    """A pool on the cluster that this process is connected to when its first job starts."""
    return Actors()


@dataclass
class Actors:
    """A pool of resident actors on the connected cluster, whose nodes may come and go."""

    running: dict[int, Running] = field(default_factory=dict)
    idle: list[Actor] = field(default_factory=list)
    objects: dict[str, Any] = field(default_factory=dict)
    started: int = 0
    last_asked: float = 0.0
    last_said: float = 0.0

    def has_place(self, job: Job) -> bool:
        """Whether cores, or a GPU, are left on one of the nodes; always where nothing runs."""
        if not self.running:
            return True
        places = nodes()
        return fits([*(run.actor.need for run in self.running.values()), need(job.threads, job.device, places)], places)

    def start(self, job: Job) -> int:
        """Hand a job to an idle actor of as many threads, or to a new one; its number."""
        make_dir(Path(job.state).parent)  # actors that see it keep their states there
        self.started += 1
        self.running[self.started] = self._begin(job, self._idle_actor(job) or self._new_actor(job))
        return self.started

    def _begin(self, job: Job, actor: Actor, vanished: int = 0) -> Running:
        views = {path: self._views(path) for path in {cell.views_path for cell in job.cells} if path is not None}
        result = actor.handle.run.remote(job, [self._data(job)], views)  # within a list: read by the actor, not handed over
        return Running(job, actor, result, actor.handle.told.remote(), vanished)

    def _idle_actor(self, job: Job) -> Actor | None:
        actor = next((idle for idle in self.idle if idle.threads == job.threads), None)
        if actor is not None:
            self.idle.remove(actor)
        return actor

    def _new_actor(self, job: Job) -> Actor:
        places = nodes()
        needed = need(job.threads, job.device, places)
        taken = [other.actor.need for other in self.running.values()]
        while self.idle and not fits([*taken, *(other.need for other in self.idle), needed], places):
            self._dismiss(self.idle[0])
        options = {"num_cpus": needed[0], "num_gpus": needed[1], "max_concurrency": 2}
        handle = ray.remote(StudyWorker).options(**options).remote(version("torch"), extensions.packed())
        return Actor(handle, job.threads, needed, time.monotonic())

    def _dismiss(self, *idle: Actor) -> None:
        for actor in idle:
            ray.kill(actor.handle)
            self.idle.remove(actor)

    def _data(self, job: Job) -> Any:
        names = (*SPLITS_OF_TRAINING, *(["test"] if job.test else []))
        key = f"{job.data_path}:{','.join(names)}"
        if key not in self.objects:
            data = open_dataset(Path(job.data_path))
            self.objects[key] = _put(SharedData.of(data, names), job.data_path)
        return self.objects[key]

    def _views(self, path: str) -> Any:
        if path not in self.objects:
            self.objects[path] = [_put(in_memory(array), path) for array in open_views(Path(path)).arrays]
        return self.objects[path]

    def events(self, timeout_s: float) -> list[tuple[int, Event]]:
        """What has ended, which actors have gone, and now and then how far the others are."""
        number_of = {run.result: number for number, run in self.running.items()}
        ready, _ = ray.wait(list(number_of), num_returns=1, timeout=timeout_s)
        events = [event for reference in ready for event in self._ended(number_of[reference])]
        if time.monotonic() - self.last_asked > ASK_EVERY_S:
            self.last_asked = time.monotonic()
            events += self._told()
            self._help_late_ones()
        return events

    def _ended(self, number: int) -> list[tuple[int, Event]]:
        run = self.running.pop(number)
        try:
            event: Event = ray.get(run.result)
        except RayError as error:
            ray.kill(run.actor.handle)
            self._dismiss(*self.idle)  # those of a lost node have gone as well
            event = without_result(error)
            lost = isinstance(event, JobLost) and not event.memory
            return [] if lost and self._begins_elsewhere(number, run) else [(number, event)]
        run.actor.heard = True
        self.idle.append(run.actor)
        return [(number, event)]

    def _begins_elsewhere(self, number: int, run: Running) -> bool:
        """Begin a job again whose actor has gone before it began: a lost node is taken for alive for some seconds."""
        self._hear(run)
        if run.actor.heard or run.vanished == MOST_PLACES:
            return False
        self.running[number] = self._begin(run.job, self._new_actor(run.job), run.vanished + 1)
        return True

    def _told(self) -> list[tuple[int, Event]]:
        shares = {number: self._hear(run) for number, run in self.running.items()}
        return [(number, Told(share)) for number, share in shares.items() if share is not None]

    @staticmethod
    def _hear(run: Running) -> float | None:
        """How far a job is, if its actor has answered; then it is asked again."""
        if not ray.wait([run.asked], timeout=0)[0]:
            return None
        try:
            share: float = ray.get(run.asked)
        except (*GONE, OutOfMemoryError):  # which its job will tell
            return None
        run.actor.heard, run.asked = True, run.actor.handle.told.remote()
        return share

    def _help_late_ones(self) -> None:
        """Jobs whose actors find no place go to idle actors; idle ones of other sizes make room; what is waited for is said."""
        for number, run in list(self.running.items()):
            idle = self._idle_actor(run.job) if run.actor.late else None
            if idle is not None:
                ray.kill(run.actor.handle)
                self.running[number] = self._begin(run.job, idle)
        late = [run.actor.need for run in self.running.values() if run.actor.late]
        if late and time.monotonic() - self.last_said > LATE_S:
            self.last_said = time.monotonic()
            self._dismiss(*self.idle)
            print(f"study: {_wanted(late)}", flush=True)

    def stop(self) -> None:
        """Let the actors save and end."""
        begun = [run for run in self.running.values() if run.actor.heard]
        for run in begun:
            run.actor.handle.end.remote()
        if begun:
            ray.wait([run.result for run in begun], num_returns=len(begun), timeout=LAST_S)
        for actor in [*(run.actor for run in self.running.values()), *self.idle]:
            ray.kill(actor.handle)
        self.running, self.idle = {}, []


def nodes() -> list[Need]:
    """What each node of the cluster has that is alive now."""
    return [offered(resources) for resources in nodes_alive()]


def offered(resources: Mapping[str, float]) -> Need:
    """CPUs and GPUs among a node's resources."""
    return resources.get("CPU", 0.0), resources.get("GPU", 0.0)


def capacity_there(threads: int, device: str) -> Capacity:
    """On the connected cluster as it is now; the node with the least memory for each of its jobs counts.

    All GPUs are taken to be as large as this process's.
    """
    alive = nodes_alive()
    cpus, gpus = need(threads, device, [offered(resources) for resources in alive])
    nums = [int(min(c // cpus, g // gpus if gpus else c)) for c, g in map(offered, alive)]
    memory = [int(node["memory"]) // num for node, num in zip(alive, nums, strict=True) if num]
    return Capacity(max(1, sum(nums)), int((free_bytes(device) if gpus else min(memory, default=0)) * SHARE_OF_MEMORY))


def need(threads: int, device: str, places: Sequence[Need]) -> Need:
    """What an actor holds: a core for each thread, as far as the largest node has them, or a GPU and a core beside it."""
    if device == "cuda":
        return 1.0, 1.0
    largest = max((cpus for cpus, _ in places), default=0.0)
    return min(float(threads), largest or float(threads)), 0.0


def fits(needs: Sequence[Need], places: Sequence[Need]) -> bool:
    """Whether all of it has room at once: the largest first, each on the first node with room."""
    free = list(places)
    for cpus, gpus in sorted(needs, reverse=True):
        node = next((i for i, (c, g) in enumerate(free) if c >= cpus and g >= gpus), None)
        if node is None:
            return False
        free[node] = free[node][0] - cpus, free[node][1] - gpus
    return True


def without_result(error: RayError) -> Event:
    """What it means that an actor has no result: it has gone, perhaps for lack of memory, or its program has a defect."""
    if isinstance(error, OutOfMemoryError):
        return JobLost("Ray has ended an actor for lack of memory", memory=True)
    if isinstance(error, GONE) and not (isinstance(error, RayActorError) and error.actor_init_failed):
        why = "it can't be reached" if isinstance(error, ActorUnavailableError) else _said(error)
        return JobLost(f"an actor has gone ({why})")
    print(error, file=sys.stderr, flush=True)
    lines = [line.strip() for line in str(error).strip().splitlines()]
    where = next((line for line in reversed(lines) if line.startswith("File ")), "no file of ours")
    return Failed(
        RegattaError(f"an actor ended by a defect: {lines[-1]} ({where}); the whole of what went wrong is said above")
    )


def _said(error: RayError) -> str:
    """The beginning of an error's text, without the indented lines of numbers."""
    return " ".join(line for line in str(error).splitlines() if line and not line.startswith("\t"))[:200]


def _put(value: Any, path: str) -> Any:
    try:
        return ray.put(value)
    except (ObjectStoreFullError, OutOfDiskError) as error:
        raise StorageError(
            f"{path}: does not fit into Ray's object store on this node ({_said(error)}); give it more"
        ) from None


def _wanted(late: Sequence[Need]) -> str:
    total, free = ray.cluster_resources(), ray.available_resources()  # type: ignore[no-untyped-call]
    kinds = ("CPU", "GPU") if late[0][1] else ("CPU",)
    each = " and ".join(f"{number:g} {kind}" for number, kind in zip(late[0], kinds, strict=False))
    left = ", ".join(f"{free.get(kind, 0.0):g} of {total.get(kind, 0.0):g} {kind}s are free" for kind in kinds)
    which = f"{len(late)} actors of {each} each" if len(late) > 1 else f"1 actor of {each}"
    return f"waiting for Ray to start {which}; {left} in the cluster"
