"""The workers of one training: how many the cluster has room for, hired all at once, compared, and let go."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from pipeline import extensions
from pipeline.distributed.connection import nodes_alive
from pipeline.distributed.worker import Facts, Worker, facts_here
from pipeline.errors import ConfigError
from pipeline.schema.cluster import ClusterConfig

TELL_EVERY_S = 10.0
REJOIN_S = 5.0
"""So long after a loss a node may take to come back before the training goes on without it."""
ASK_S = 0.2
NAMESPACE = "regatta"


class NotHired(Exception):  # noqa: N818 - no error: it is tried again
    """A worker went before it had begun."""


@dataclass(frozen=True)
class Needs:
    """What one worker holds."""

    cpus: int
    gpus: float

    @property
    def bundle(self) -> dict[str, float]:
        """In Ray's words."""
        return {"CPU": float(self.cpus)} | ({"GPU": self.gpus} if self.gpus else {})

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{self.cpus} CPU{'s' if self.cpus > 1 else ''}{gpus}"


@dataclass(frozen=True)
class Crew:
    """Hired workers in the order of their ranks."""

    actors: list[Any]
    facts: list[Facts]
    group: PlacementGroup

    def let_go(self) -> None:
        """End their processes, whatever they are doing."""
        for actor in self.actors:
            ray.kill(actor)
        remove_placement_group(self.group)

    def __str__(self) -> str:
        hosts: dict[str, int] = {}
        for facts in self.facts:
            hosts[facts.host] = hosts.get(facts.host, 0) + 1
        num = len(self.actors)
        return f"{num} worker{'s' if num > 1 else ''} on {', '.join(f'{host} ({num})' for host, num in hosts.items())}"


def kill_worker(name: str) -> None:
    """End a hired worker's process, as a machine that dies would; for tests of what then happens."""
    ray.kill(ray.get_actor(name, NAMESPACE))


def needs_of(cluster: ClusterConfig, device: str, threads: int) -> Needs:
    """What one worker holds; ConfigError where all of them together would take too many GPUs."""
    gpus = cluster.gpus_per_worker if device == "cuda" else 0.0
    if cluster.max_gpus is not None and cluster.workers * gpus > cluster.max_gpus:
        raise ConfigError(
            f"cluster.max_gpus = {cluster.max_gpus:g}: cluster.workers = {cluster.workers} of {gpus:g} GPU each take "
            f"{cluster.workers * gpus:g}; lower cluster.workers or cluster.gpus_per_worker, or raise cluster.max_gpus"
        )
    return Needs(threads, gpus)


def num_places(needs: Needs) -> int:
    """How many workers the nodes that are alive could hold if nothing else ran on them."""
    return sum(fitting(resources, needs) for resources in nodes_alive())


def fitting(resources: Mapping[str, float], needs: Needs) -> int:
    """How many workers fit into one node's resources."""
    by_cpu = int(resources.get("CPU", 0.0) // needs.cpus)
    return min(by_cpu, int(resources.get("GPU", 0.0) / needs.gpus + 1e-9)) if needs.gpus else by_cpu


def wanted(cluster: ClusterConfig, needs: Needs, before: int | None, stop: Callable[[], None]) -> int:
    """How many workers to hire: all, or after a loss (of one of `before`) as many as there is room for, but `min_workers`.

    ConfigError where a cluster never had the room; after a loss it waits for nodes that come back, and says so.
    """
    started = told = time.monotonic()
    while True:
        places = num_places(needs)
        if places >= cluster.workers:
            return cluster.workers
        enough = places >= cluster.min_workers
        if before is None:
            if not enough:
                raise ConfigError(
                    f"cluster.workers = {cluster.workers} of {needs} each: the cluster has room for {places} "
                    f"({described()}); choose at most that, or add nodes with `ray start --address=HOST:PORT`"
                )
            print(
                f"train: room for {places} of {cluster.workers} workers; goes on with these (cluster.min_workers)", flush=True
            )
            return places
        if enough and time.monotonic() - started > REJOIN_S:
            return places
        if not enough and time.monotonic() - told > TELL_EVERY_S:
            print(
                f"train: waiting for nodes to come back: room for {places} workers, cluster.min_workers = "
                f"{cluster.min_workers} ({described()})",
                flush=True,
            )
            told = time.monotonic()
        stop()
        time.sleep(ASK_S)


def described() -> str:
    """The nodes that are alive, with what each of them has."""
    nodes = nodes_alive()
    parts = [f"{node.get('CPU', 0):g} CPUs" + (f" and {node['GPU']:g} GPUs" if "GPU" in node else "") for node in nodes]
    return f"{len(nodes)} node{'s' if len(nodes) != 1 else ''}: {', '.join(parts) or 'none'}"


def hire(num: int, needs: Needs, name: str, stop: Callable[[], None]) -> Crew:
    """Workers placed all at once, so that two trainings never hold half of what both need; NotHired where one goes at once.

    While others hold the room, says what it waits for. name: theirs in the cluster, before the rank.
    """
    group = placement_group([needs.bundle] * num, strategy="PACK")
    _wait_for_room(group, num, needs, stop)
    options: dict[str, Any] = {"num_cpus": needs.cpus, "num_gpus": needs.gpus, "max_concurrency": 3, "namespace": NAMESPACE}
    sent = extensions.packed()
    actors = [
        ray.remote(Worker)
        .options(**options, name=f"{name}/{rank}", scheduling_strategy=PlacementGroupSchedulingStrategy(group, rank))
        .remote(sent)
        for rank in range(num)
    ]
    crew = Crew(actors, [], group)
    try:
        facts = _facts(actors, stop)
        _compare(facts)
    except RayError as error:
        crew.let_go()
        raise NotHired(f"a worker did not start ({str(error).splitlines()[0][:200]})") from None
    except BaseException:
        crew.let_go()
        raise
    return Crew(actors, facts, group)


def _wait_for_room(group: PlacementGroup, num: int, needs: Needs, stop: Callable[[], None]) -> None:
    ready, told = group.ready(), time.monotonic()
    try:
        while not ray.wait([ready], timeout=ASK_S)[0]:
            if time.monotonic() - told > TELL_EVERY_S:
                free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
                shown = ", ".join(f"{free.get(kind, 0):g} {kind}s" for kind in needs.bundle)
                print(f"train: waiting for room for {num} workers of {needs} each; free now: {shown}", flush=True)
                told = time.monotonic()
            if num_places(needs) < num:
                raise NotHired("a node has gone before the workers were placed")
            stop()
    except BaseException:
        remove_placement_group(group)
        raise


def _facts(actors: list[Any], stop: Callable[[], None]) -> list[Facts]:
    asked = [actor.facts.remote() for actor in actors]
    while len(ray.wait(asked, num_returns=len(asked), timeout=ASK_S)[0]) < len(asked):
        stop()
        for done in ray.wait(asked, num_returns=len(asked), timeout=0)[0]:
            ray.get(done)  # raises where the worker has gone
    return [ray.get(one) for one in asked]


def _compare(found: list[Facts]) -> None:
    """ConfigError where a worker's versions are not those of this process: its results would be others."""
    here = facts_here()
    wrong = [
        f"{facts.host} has {name} {facts.versions[name]}, here it is {here[name]}"
        for facts in found for name in here if facts.versions[name] != here[name]
    ]  # fmt: skip
    if wrong:
        raise ConfigError(f"cluster: {'; '.join(dict.fromkeys(wrong))}; install the same on all nodes (docs/cluster.md)")
