"""One training over several hosts, of which one is lost on the way, in one of three ways: the bits of one worker."""

import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest
from hosts import PORT, Hosts, lacking
from test_distributed_training import HERE, epochs_kept, run_in, same_run, wait_for
from training_driver import EPOCHS

FAULTS = ("killed", "cut off", "frozen")


@pytest.fixture(scope="module", autouse=True)
def _hosts_can_be_had():
    if why := lacking():
        pytest.skip(why)


def drive(hosts, dataset, folder):
    paths = os.pathsep.join(str(path) for path in (HERE.parents[1], HERE, HERE.parent))
    cluster = [f"cluster.address={hosts.address(1)}:{PORT}", f"cluster.token_path={hosts.token}"]
    cluster += [f"cluster.min_workers={hosts.num - 1}"]
    command = [sys.executable, str(HERE / "training_driver.py"), str(dataset), str(hosts.num), "exact", str(EPOCHS), *cluster]
    command = ["env", f"PYTHONPATH={paths}", f"REGATTA_RUNS={folder}", *command]
    return hosts.run(1, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def inflict(hosts, fault, i):
    if fault == "killed":
        hosts.kill(i)
    elif fault == "cut off":
        hosts.cut(i)
    else:
        hosts.signal(i, signal.SIGSTOP)


def lost_on_the_way(digits, alone, folder, fault, num, after, victim):
    with Hosts(num, folder) as hosts:
        process = drive(hosts, digits.path, folder / "runs")
        wait_for(lambda: epochs_kept(folder / "runs") >= after, process)
        inflict(hosts, fault, victim)
        started = time.monotonic()
        run = run_in(folder / "runs")
        wait_for(lambda: run.read()["restarts"] >= 1, process, limit_s=120)
        noticed_s = time.monotonic() - started
        said, _ = process.communicate(timeout=180)
        assert process.returncode == 0, said
    assert noticed_s < 60, "silence is noticed"
    [hired] = re.findall(rf"{num - 1} workers? on (.*), exact sums", said)
    assert sorted(hired.split(", ")) == [f"host{i} (1)" for i in range(1, num + 1) if i != victim], (
        "it goes on without the host"
    )
    same_run(alone, run)


@pytest.mark.slow
def test_a_lost_host_costs_time_and_no_bits(digits, alone, tmp_path):
    lost_on_the_way(digits, alone, tmp_path, "killed", num=2, after=10, victim=2)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", range(3))
def test_hosts_lost_at_random_moments(digits, alone, tmp_path, fault, seed):
    draw = random.Random(seed)
    lost_on_the_way(digits, alone, tmp_path, fault, num=3, after=draw.randint(0, 60), victim=draw.choice([2, 3]))
