"""Studies of prepared digits on Ray: on a cluster of this machine's own cores, or on one whose nodes can be killed."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from study.study_project import CONF, definition, planned_study
from training_helpers import untimed

from pipeline.config import composed
from pipeline.distributed.connection import connected
from pipeline.distributed.study import actors
from pipeline.schema.base import validated
from pipeline.schema.cluster import ClusterConfig
from pipeline.study.run import compute

HERE = Path(__file__).resolve().parent
NONE = {"none": {"model.dropout": 0.0}}
SEEDS, EPOCHS = 4, 250
"""Of a study whose two groups of runs take some seconds each."""


def cluster_config(address=None, token_path=None) -> ClusterConfig:
    values = composed(CONF, ["cluster=ray"])["cluster"]
    return validated(ClusterConfig, values | {"address": address, "token_path": token_path}, "cluster")


def chosen(seeds=SEEDS, epochs=EPOCHS):
    return definition(NONE, seeds, baseline={"train.epochs": epochs})


def run_on_ray(seeds: int, epochs: int, address=None, token_path=None):
    with connected(cluster_config(address, token_path), cores=2):
        return compute(planned_study(chosen(seeds, epochs)), actors())


def same(one, other):
    """Results of the same runs, but for times."""
    assert one.keys() == other.keys()
    for name in one:
        assert untimed(one[name].pop("rows")) == untimed(other[name].pop("rows"))
        assert one[name].pop("metrics") | {"seconds": 0} == other[name].pop("metrics") | {"seconds": 0}
        assert one[name] == other[name]


def driver(*words) -> subprocess.Popen:
    """The program to be killed, in the current directory."""
    folders = [HERE.parents[1], HERE.parent, HERE]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders)), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, str(HERE / "ray_study_driver.py"), *map(str, words)]
    return subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def said(process: subprocess.Popen, code=0) -> str:
    """All that a driver has printed, once it has ended with the expected code."""
    text, _ = process.communicate(timeout=120)
    assert process.returncode == code, text
    return text


def end(process: subprocess.Popen):
    """Kill a program and all that it has started."""
    if process.poll() is None:
        for one in [*below(process.pid), psutil.Process(process.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    process.communicate()


def below(pid: int) -> list[psutil.Process]:
    """All processes that a process has started, directly or not."""
    return psutil.Process(pid).children(recursive=True)


def actors_at_work(pid: int, cpu_s: float = 5.0) -> list[psutil.Process]:
    """Of the processes below one, the actors that have computed for a while: importing torch takes two seconds or three."""
    found = []
    for process in below(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            if " ".join(process.cmdline()).startswith("ray::StudyWorker") and process.cpu_times().user > cpu_s:
                found.append(process)
    return found


def wait_for(true, limit_s=120.0):
    until = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended; psutil knows a number that was given to another process since."""
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


class Cluster:
    """Nodes of a Ray cluster on this machine, each the child of a `ray start` of its own."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # paths of sockets must be short
        self.token = self.folder / "token"
        self.token.write_text("0123456789abcdef" * 4)
        self.nodes = []

    def add(self, cpus: int, *words: str):
        """Start a node and wait until it belongs to the cluster: two that start at once may take the same ports."""
        ray = str(Path(sys.executable).with_name("ray"))
        own = ["start", "--block", f"--num-cpus={cpus}", "--node-ip-address=127.0.0.1", "--object-store-memory=100000000"]
        own += ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0", "--disable-usage-stats"]
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token)}
        path = self.folder / f"node{len(self.nodes)}.log"
        with path.open("w") as log:
            node = subprocess.Popen([ray, *own, *words], env=os.environ | token, stdout=log, stderr=subprocess.STDOUT)
        self.nodes.append(node)
        wait_for(lambda: "will now block" in path.read_text() or node.poll() is not None)
        assert node.poll() is None, path.read_text()

    def head(self, cpus: int, port: int = 0) -> str:
        """Start the head; the cluster's address."""
        self.add(cpus, "--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={self.folder}")
        return (self.folder / "ray_current_cluster").read_text().strip()

    def end(self):
        for node in self.nodes:
            end(node)
        shutil.rmtree(self.folder, ignore_errors=True)
