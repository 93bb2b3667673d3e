"""Jobs of a study on a Ray cluster: resident actors, data shared once per node. The only importer of Ray."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.exceptions import RayError

from pipeline.data.dataset import Manifest, Split, open_dataset
from pipeline.data.views import open_views
from pipeline.errors import ConfigError, RegattaError
from pipeline.schema.cluster import ClusterConfig
from pipeline.study.job import Job
from pipeline.study.processes import lacks_memory
from pipeline.study.schedule import Done, Event, Failed, Lost, Told

if TYPE_CHECKING:
    from pipeline.study.pack import Held

LAST_S = 60.0
"""How long an actor that was asked to stop may take to save."""
ASK_EVERY_S = 1.0
SPLITS_OF_TRAINING = ("train", "val")


@dataclass(frozen=True)
class Shared:
    """A dataset in Ray's object store: arrays by split, read by every actor of a node without a copy."""

    manifest: Manifest
    splits: dict[str, Split]

    def split(self, name: str) -> Split:
        """One of those that were shared."""
        return self.splits[name]


class Worker:
    """A resident actor's body: one job at a time, and how far it is."""

    def __init__(self) -> None:
        self.share, self.going = 0.0, True

    def run(self, job: Job, data: list[Any], views: dict[str, Any]) -> Event:
        """Run a job on shared data; what came of it."""
        from pipeline.study.pack import run_pack

        self.share, self.going = 0.0, True
        try:
            return Done(run_pack(job, self._tell, _held(job, data, views)))
        except RegattaError as error:
            return Failed(error)
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            return Lost(f"{len(job.cells)} runs side by side do not fit into memory", memory=True)

    def _tell(self, share: float) -> bool:
        self.share = share
        return self.going

    def told(self) -> float:
        """The current job's share that is done."""
        return self.share

    def end(self) -> None:
        """Save the current job's state and end it."""
        self.going = False


def _held(job: Job, data: list[Any], views: dict[str, Any]) -> Held:
    from pipeline.data.views import Views
    from pipeline.study.pack import Held

    [shared] = ray.get(data)
    arrays: dict[str, list[NDArray[np.uint8]]] = {path: ray.get(refs) for path, refs in views.items()}
    own = [Views(arrays[cell.views_path] if cell.views_path else [], cell.policy, cell.views) for cell in job.cells]
    return Held(shared, own)


@dataclass
class Running:
    """A job on an actor."""

    actor: Any
    threads: int
    result: Any
    asked: Any = None


@dataclass
class Actors:
    """A pool of resident actors on a connected cluster."""

    cpus: float
    gpus: float
    running: dict[int, Running] = field(default_factory=dict)
    idle: list[tuple[int, Any]] = field(default_factory=list)
    objects: dict[str, Any] = field(default_factory=dict)
    started: int = 0
    last_asked: float = 0.0

    def room(self, job: Job) -> bool:
        """Whether cores, or a GPU, are left; always where nothing runs."""
        if not self.running:
            return True
        if job.device == "cuda":
            return len(self.running) < self.gpus
        return sum(own.threads for own in self.running.values()) + job.threads <= self.cpus

    def start(self, job: Job) -> int:
        """Hand a job to an idle actor of as many threads, or to a new one; its number."""
        actor = next((own for threads, own in self.idle if threads == job.threads), None)
        if actor is None:
            self._make_room(job)
            actor = self._new_actor(job)
        else:
            self.idle.remove((job.threads, actor))
        views = {path: self._views(path) for path in {cell.views_path for cell in job.cells} if path is not None}
        self.started += 1
        result = actor.run.remote(job, [self._data(job)], views)  # within a list: read by the actor, not handed over
        self.running[self.started] = Running(actor, job.threads, result)
        return self.started

    def _make_room(self, job: Job) -> None:
        """Idle actors of other sizes hold cores that a new one needs."""
        for threads, actor in [own for own in self.idle if own[0] != job.threads]:
            ray.kill(actor)
            self.idle.remove((threads, actor))

    @staticmethod
    def _new_actor(job: Job) -> Any:
        threads = {name: str(job.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        options = {"num_cpus": job.threads, "num_gpus": int(job.device == "cuda"), "max_concurrency": 2}
        return ray.remote(Worker).options(**options, runtime_env={"env_vars": threads}).remote()

    def _data(self, job: Job) -> Any:
        names = (*SPLITS_OF_TRAINING, *(["test"] if job.test else []))
        key = f"{job.data_path}:{','.join(names)}"
        if key not in self.objects:
            data = open_dataset(Path(job.data_path))
            splits = {name: data.split(name) for name in names}
            whole = {
                name: Split(*(np.array(part) for part in (own.inputs, own.labels, own.ids))) for name, own in splits.items()
            }
            self.objects[key] = ray.put(Shared(data.manifest, whole))
        return self.objects[key]

    def _views(self, path: str) -> Any:
        if path not in self.objects:
            self.objects[path] = [ray.put(np.array(array)) for array in open_views(Path(path)).arrays]
        return self.objects[path]

    def events(self, timeout_s: float) -> list[tuple[int, Event]]:
        """What has ended, which actors have gone, and now and then how far the others are."""
        number_of = {own.result: number for number, own in self.running.items()}
        ready, _ = ray.wait(list(number_of), num_returns=1, timeout=timeout_s)
        found: list[tuple[int, Event]] = []
        for reference in ready:
            number = number_of[reference]
            own = self.running.pop(number)
            try:
                found.append((number, ray.get(reference)))
                self.idle.append((own.threads, own.actor))
            except RayError as error:
                ray.kill(own.actor)
                found.append((number, Lost(f"an actor has gone ({type(error).__name__}: {str(error).splitlines()[0][:120]})")))
        return found + (self._told() if time.monotonic() - self.last_asked > ASK_EVERY_S else [])

    def _told(self) -> list[tuple[int, Event]]:
        self.last_asked = time.monotonic()
        found: list[tuple[int, Event]] = []
        for number, own in self.running.items():
            if own.asked is not None and ray.wait([own.asked], timeout=0)[0]:
                with contextlib.suppress(RayError):  # the actor has gone, which its job will tell
                    found.append((number, Told(ray.get(own.asked))))
                own.asked = None
            own.asked = own.asked or own.actor.told.remote()
        return found

    def stop(self) -> None:
        """Let the actors save and end."""
        for own in self.running.values():
            own.actor.end.remote()
        if self.running:
            ray.wait([own.result for own in self.running.values()], num_returns=len(self.running), timeout=LAST_S)
        for actor in [*(own.actor for own in self.running.values()), *(actor for _, actor in self.idle)]:
            ray.kill(actor)
        self.running, self.idle = {}, []


def _whole(split: Split) -> Split:
    """In memory."""
    return Split(np.array(split.inputs), np.array(split.labels), np.array(split.ids))


@contextmanager
def connected(config: ClusterConfig, cores: int) -> Iterator[Actors]:
    """A pool on the cluster that the configuration names, or on one of this machine's cores that ends with the block."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if config.token_path is not None:
        if not Path(config.token_path).is_file():
            raise ConfigError(f"cluster.token_path = {config.token_path!r}: there is no such file; copy the head's token to it")
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": config.token_path}
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False, "configure_logging": False}
    options |= {"num_cpus": cores, "include_dashboard": False} if config.address is None else {}
    try:
        ray.init(address=config.address or "local", **options)
    except (ConnectionError, RayError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"cluster.address = {config.address!r}: no Ray cluster answers there ({str(error).splitlines()[0][:200]}); "
            "start one with `ray start --head`, give its address and token, or use cluster=local"
        ) from None
    try:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        yield Actors(resources.get("CPU", 1.0), resources.get("GPU", 0.0))
    finally:
        ray.shutdown()
