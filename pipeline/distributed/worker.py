"""One of the workers that share the batches of a training: the body of a resident actor."""

from __future__ import annotations

import datetime
import io
import os
import platform
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TextIO

import psutil
import ray
from ray.exceptions import RayError

from pipeline import extensions
from pipeline.closure import code_digest
from pipeline.data.memory import lacks_memory
from pipeline.distributed.shared import SharedData
from pipeline.errors import NumericsError, Stopped
from pipeline.processes import plain_text
from pipeline.runs.identity import CODE
from pipeline.runs.state import Snapshot
from pipeline.schema.augment import AugmentConfig
from pipeline.train.keeper import Keeper
from pipeline.train.program import Lane, Program
from pipeline.train.stopping import StopRequest

if TYPE_CHECKING:
    from pipeline.train.training import Training
    from pipeline.train.tree import Team

MOST_LINES = 10_000
"""Of a log that nobody has fetched yet."""


@dataclass(frozen=True)
class Task:
    """A training that `size` workers share, but for its data."""

    program: Program
    lane: Lane
    policy: AugmentConfig
    views: str
    """Digest of the augmented copies."""
    device: str
    threads: int
    size: int
    reduce: str
    timeout_s: float
    save_every_s: float
    callbacks: tuple[str, ...] = ()
    """Names in `extensions.CALLBACKS`."""
    meeting: str | None = None
    """Where all workers share memory: the name under which they meet, which only they know."""


@dataclass(frozen=True)
class Facts:
    """Where a worker is and what it has."""

    host: str
    node: str
    """The node's id in the cluster."""
    pid: int
    gpus: list[str]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Ended:
    """How a worker's part of a training has ended: done, stopped, not_finite, peer, memory or defect."""

    how: str
    text: str = ""


@dataclass(frozen=True)
class Report:
    """What has happened since the last report."""

    epoch: int
    step: int
    lines: list[str]
    events: list[tuple[str, Any]]
    """("epoch", (progress as plain values, its records)) and ("state", snapshot), in order; of the first worker only."""


def facts_here() -> dict[str, str]:
    """Versions that must be the same on all workers and on the machine that starts them."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "pytorch-lightning")},
        "Regatta's code": code_digest(CODE)[:12],
        extensions.FILE: extensions.digest()[:12],
    }


@dataclass
class Outbox:
    """What a worker has to tell, until it is asked."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    lines: list[str] = field(default_factory=list)
    events: list[tuple[str, Any]] = field(default_factory=list)

    def put(self, kind: str, content: Any) -> None:
        """An event; of states only the newest matters."""
        with self.lock:
            self.events = [event for event in self.events if event[0] != kind or kind != "state"] + [(kind, content)]

    def say(self, line: str) -> None:
        """A line of the log, which people look at with `cat`."""
        with self.lock:
            self.lines = [*self.lines[-MOST_LINES:], plain_text(line)]

    def emptied(self) -> tuple[list[str], list[tuple[str, Any]]]:
        """All of it, which is then forgotten here."""
        with self.lock:
            taken = self.lines, self.events
            self.lines, self.events = [], []
            return taken


class Tee(io.TextIOBase):
    """A stream whose whole lines are handed on as well."""

    def __init__(self, stream: TextIO, worker: Worker) -> None:
        self.stream, self.worker, self.rest = stream, worker, ""

    def write(self, text: str) -> int:
        self.stream.write(text)
        *lines, self.rest = (self.rest + text).split("\n")
        for line in filter(str.strip, lines):
            self.worker.say(line)
        return len(text)

    def flush(self) -> None:
        self.stream.flush()


class Worker:
    """A resident actor's body: takes part in one training at a time."""

    training: Training | None

    def __init__(self, sent: Mapping[str, bytes]) -> None:
        """sent: the `extensions.py` of whoever hires it."""
        started = time.perf_counter()
        extensions.unpack(sent)
        from pipeline.distributed.store import Keys
        from pipeline.train.module import run_to_end  # takes seconds, so it is done before anything is asked of it

        self.run_to_end = run_to_end
        self.import_s = time.perf_counter() - started
        self.outbox, self.stop_request = Outbox(), StopRequest()
        self.rank, self.training, self.keys = 0, None, Keys()
        self.host, self.gpus = platform.node(), [str(gpu) for gpu in ray.get_gpu_ids()]
        sys.stdout, sys.stderr = Tee(sys.stdout, self), Tee(sys.stderr, self)

    def facts(self) -> Facts:
        """Where this worker is and what it has."""
        return Facts(self.host, ray.get_runtime_context().get_node_id(), os.getpid(), self.gpus, facts_here())

    def key(self, method: str, *words: Any) -> Any:
        """A method of the keys by which all workers of a training find each other; of the first worker."""
        return getattr(self.keys, method)(*words)

    def run(self, task: Task, rank: int, first: Any, data: list[Any], views: list[Any], start: list[Any]) -> Ended:
        """Take part in a training from a snapshot (start; None at its beginning), to its end. first: the actor of rank 0."""
        self.rank, self.training = rank, None
        snapshot: Snapshot | None = ray.get(start[0])
        try:
            with joined(task, rank, self._ask(first, task.timeout_s)) as team:
                return self._train(task, team, ray.get(data[0]), [ray.get(view) for view in views], snapshot)
        except (Exception, Stopped) as error:
            self.say(f"ended by {type(error).__name__}: {error}")
            return _ended(error)

    def _ask(self, first: Any, timeout_s: float) -> Callable[..., Any]:
        """`key` of the first worker; OSError where it does not answer."""

        def ask(*words: Any) -> Any:
            try:
                return ray.get(first.key.remote(*words), timeout=timeout_s)
            except RayError as error:
                raise ConnectionError(f"the first worker does not answer ({type(error).__name__})") from None

        return ask if self.rank else self.key

    def _train(self, task: Task, team: Team, data: SharedData, views: list[Any], snapshot: Snapshot | None) -> Ended:
        import torch

        from pipeline.data.views import Views
        from pipeline.train.device import chosen_device
        from pipeline.train.training import Training
        from pipeline.train.watching import watching

        torch.set_num_threads(task.threads)
        own = Views(views, task.policy, task.views)
        training = Training(task.program, [task.lane], data, [own], chosen_device(task.device), team)
        if snapshot:
            training.restore(*snapshot)
        self.training = training
        self.say(
            f"worker {self.rank} of {task.size}, process {os.getpid()}, {task.threads} threads, {task.device}; "
            f"{'memory shared with the others, ' if team.neighbours else ''}its imports took {self.import_s:.2f} s"
        )
        keeper = WorkerKeeper(self, training, task)
        try:
            keeper.save()
            logged = training.progress.num_logged
            watched_by = watching(task.callbacks, lambda rows: self.outbox.put("logged", rows), logged)
            self.run_to_end(training, keeper, self.stop_request, watched_by)
        except NumericsError:
            keeper.save()
            raise
        self.say("done")
        return Ended("done")

    def report(self) -> Report:
        """What has happened since the last report."""
        lines, events = self.outbox.emptied()
        progress = self.training.progress if self.training else None
        return Report(progress.epoch if progress else 0, progress.step if progress else 0, lines, events)

    def stop(self, asked: signal.Signals) -> None:
        """Ask the whole team to save and stop; heard by the first worker, which tells the others."""
        self.stop_request.signal = asked

    def say(self, text: str) -> None:
        """A line of this worker's log, with time, host, rank, GPU and step."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        progress = self.training.progress if self.training else None
        where = f"epoch {progress.epoch + 1} step {progress.step}" if progress else "-"
        self.outbox.say(f"{now} {self.host} rank {self.rank} gpu {','.join(self.gpus) or '-'} {where}: {text}")


class WorkerKeeper(Keeper):
    """Hands states and epochs of the first worker to whoever asks; the others keep nothing."""

    def __init__(self, worker: Worker, training: Training, task: Task) -> None:
        self.worker, self.training, self.save_every_s = worker, training, task.save_every_s
        self.stepped = False

    def save(self) -> None:
        """The state: merged from all workers, so that all of them call this after the same step."""
        tensors, progress = self.training.state()
        if self.worker.rank == 0:  # copies, since the training goes on in the same memory
            self.worker.outbox.put("state", ({name: array.copy() for name, array in tensors.items()}, progress))

    def after_block(self, training: Training) -> None:
        if not self.stepped:
            self.worker.say("first step taken")
            self.stepped = True

    def after_epoch(self, training: Training) -> None:
        rows = training.latest_rows()
        self.worker.say(f"epoch {training.progress.epoch} ended, validation loss {rows[-1]['loss'] if rows else None}")
        if self.worker.rank == 0:
            self.worker.outbox.put("epoch", (asdict(training.progress), rows))


def _ended(error: Exception | Stopped) -> Ended:
    from pipeline.train.tree import PeerLost

    if isinstance(error, Stopped):
        return Ended("stopped", str(error))
    if isinstance(error, NumericsError):
        return Ended("not_finite", str(error))
    if isinstance(error, PeerLost):
        return Ended("peer", str(error))
    if isinstance(error, MemoryError | RuntimeError | OSError) and lacks_memory(error):
        return Ended("memory", " ".join(str(error).split())[:300])
    return Ended("defect", traceback.format_exc())


@contextmanager
def joined(task: Task, rank: int, ask: Callable[..., Any]) -> Iterator[Team]:
    """In the team of a training's workers: in memory that they share, in a process group, or alone.

    ask: calls a method of the first worker's keys.
    """
    from pipeline.train.tree import Team

    team = Team(rank, task.size, task.reduce)
    if task.size == 1:
        yield team
    elif task.meeting:
        from pipeline.distributed.neighbours import neighbours

        most = max(map(len, team.spans(team.num_shards(task.program.shards))))
        columns = task.program.spec.layout().num_columns
        with neighbours(task.meeting, rank, task.size, most, columns, task.timeout_s) as memory:
            yield replace(team, neighbours=memory)
    else:
        with process_group("nccl" if task.device == "cuda" else "gloo", rank, task.size, task.timeout_s, ask):
            yield team


@contextmanager
def process_group(backend: str, rank: int, size: int, timeout_s: float, ask: Callable[..., Any]) -> Iterator[None]:
    """In torch's default process group, whose connections are those of the node's address in the cluster."""
    import torch.distributed as dist

    from pipeline.distributed.store import KeyStore
    from pipeline.train.tree import lost_peers

    interface, limit = own_interface(own_address()), datetime.timedelta(seconds=timeout_s)
    os.environ |= {"GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": interface}
    with lost_peers():
        store = KeyStore(ask, limit)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=limit)
    try:
        yield
    finally:
        dist.destroy_process_group()


def own_address() -> str:
    """The address at which this node is known to the cluster."""
    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return address


def own_interface(address: str) -> str:
    """The network interface that has an address: gloo would take the one that the host's name leads to."""
    names = (name for name, addresses in psutil.net_if_addrs().items() if any(one.address == address for one in addresses))
    return str(next(names, "lo"))
