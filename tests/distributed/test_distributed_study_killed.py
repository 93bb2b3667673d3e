"""Studies on Ray that are stopped, killed, or lose a node, as programs of their own."""

import copy
import signal

import pytest
from ray_study_project import EPOCHS, SEEDS, Cluster, actors_at_work, alive, below, cluster_config, said, same, wait_for
from study.study_project import by_hash

from pipeline.distributed.connection import connected
from pipeline.errors import ConfigError


@pytest.fixture
def cluster():
    """A head without cores, and two nodes of one."""
    own = Cluster()
    try:
        own.address = own.head(cpus=0)
        for _ in range(2):
            own.add(1, f"--address={own.address}")
        yield own
    finally:
        own.end()


@pytest.mark.slow
@pytest.mark.parametrize("number", [pytest.param(signal.SIGKILL, id="killed"), pytest.param(signal.SIGTERM, id="stopped")])
def test_a_killed_or_stopped_study_goes_on_bit_for_bit(number, ray_project, ray_reference, ray_driver):
    stopped = number == signal.SIGTERM
    process = ray_driver(SEEDS, EPOCHS)
    wait_for(lambda: len(actors_at_work(process.pid)) == 2)
    processes = below(process.pid)
    process.send_signal(number)
    process.wait(60)
    wait_for(lambda: not alive(processes))
    said(process, 143 if stopped else -number)
    states = list((ray_project / "cells").glob("*.safetensors"))
    assert len(states) == 2 or not stopped, "both actors have saved what they had"
    said(ray_driver(SEEDS, EPOCHS))
    assert list((ray_project / "cells").glob("*.safetensors")) == []
    same(copy.deepcopy(ray_reference), by_hash())


@pytest.mark.slow
def test_a_lost_node_costs_nothing_but_time(cluster, ray_project, ray_reference, ray_driver):
    process = ray_driver(SEEDS, EPOCHS, cluster.address, cluster.token)
    nodes = [node.pid for node in cluster.nodes[1:]]
    wait_for(lambda: all(actors_at_work(pid) for pid in nodes))
    [raylet] = [child for child in below(nodes[0]) if child.name() == "raylet"]
    raylet.kill()
    text = said(process)
    assert text.count("study: an actor has gone (") == text.count("its 4 runs start again") == 1, text
    same(copy.deepcopy(ray_reference), by_hash())


@pytest.mark.slow
def test_a_killed_study_leaves_nothing_on_the_cluster(cluster, ray_project, ray_driver):
    process = ray_driver(SEEDS, 10 * EPOCHS, cluster.address, cluster.token)
    wait_for(lambda: all(actors_at_work(node.pid) for node in cluster.nodes[1:]))
    actors = [actor for node in cluster.nodes[1:] for actor in actors_at_work(node.pid)]
    process.kill()
    wait_for(lambda: not alive(actors))


@pytest.mark.slow
def test_a_run_that_ray_ends_for_lack_of_memory_is_given_up(ray_project, ray_driver, monkeypatch):
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.01")
    assert said(ray_driver(1, EPOCHS)).count("Ray has ended an actor for lack of memory") == 4, "said, and recorded"


def test_no_cluster_is_said():
    said = r"cluster.address = '127.0.0.1:1': no Ray cluster answers there \(.*refused\); start one with `ray start --head`"
    with pytest.raises(ConfigError, match=said), connected(cluster_config("127.0.0.1:1"), cores=2):
        pass
