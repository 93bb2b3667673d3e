"""One training over workers on this machine: the bits of one worker, whatever is killed or frozen on the way."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from ray_study_project import Cluster
from training_driver import EPOCHS, TIMEOUT_S, configs, fit_with
from training_helpers import untimed

from pipeline import artifacts
from pipeline.distributed.crew import Needs, fitting, needs_of, wanted
from pipeline.distributed.training import check_shards, too_large
from pipeline.distributed.worker import Task, _ended
from pipeline.errors import BusyError, ConfigError, RegattaError
from pipeline.runs.folder import RunFolder
from pipeline.train.program import program_of

HERE = Path(__file__).resolve().parent


def driver(digits, folder, *words):
    paths = os.pathsep.join(str(path) for path in (HERE.parents[1], HERE, HERE.parent))
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONWARNINGS": "ignore", "REGATTA_RUNS": str(folder)}
    command = [sys.executable, str(HERE / "training_driver.py"), str(digits.path), *map(str, words)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(process, limit_s=120):
    said, _ = process.communicate(timeout=limit_s)
    return process.returncode, said


def run_in(folder):
    found = sorted(folder.glob("*/run.json"))
    return RunFolder(found[0].parent.name, found[0].parent) if found else None


def wait_for(true, process, limit_s=180):
    until = time.monotonic() + limit_s
    while not true():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until, "too slow"
        time.sleep(0.05)


def epochs_kept(folder):
    run = run_in(folder)
    return run.read()["num_epochs"] if run and run.states else -1


def pid_of(run, rank):
    """Of the last process that was this rank."""
    return int(re.findall(r"process (\d+)", (run.path / "logs" / f"rank-{rank}.log").read_text())[-1])


def same_run(one, other):
    """Weights, records and the state to go on from, but for times."""
    pairs = [[artifacts.load_tensors(run.path / "best.safetensors")[0] for run in (one, other)]]
    pairs += [[run.load_state()[0] for run in (one, other)]]
    for first, second in pairs:
        assert first.keys() == second.keys()
        assert [name for name in first if not np.array_equal(first[name], second[name])] == []
    assert untimed(artifacts.read_jsonl(one.metrics)) == untimed(artifacts.read_jsonl(other.metrics))
    assert one.read()["hashes"] == other.read()["hashes"]


def test_lost_and_frozen_workers_cost_time_and_no_bits(digits, alone, tmp_path, monkeypatch):
    process = driver(digits, tmp_path, 2, "exact", EPOCHS)
    wait_for(lambda: epochs_kept(tmp_path) > 10, process)
    monkeypatch.setenv("REGATTA_RUNS", str(tmp_path))
    with pytest.raises(BusyError, match=f"held by process {process.pid} on"):
        fit_with(digits.path, EPOCHS, 2)
    run = run_in(tmp_path)
    os.kill(pid_of(run, 1), signal.SIGKILL)
    wait_for(lambda: run.read()["restarts"] == 1, process)
    kept = epochs_kept(tmp_path)
    wait_for(lambda: epochs_kept(tmp_path) > kept + 10, process)
    frozen = pid_of(run, 1)
    os.kill(frozen, signal.SIGSTOP)
    code, said = ended(process)
    assert code == 0, said
    first, second = run.read()["interruptions"]
    assert "a worker has gone" in first["reason"]
    assert "silent" in second["reason"]
    assert not psutil.pid_exists(frozen), "it does not stay behind"
    same_run(alone, run)
    log = (run.path / "logs" / "rank-0.log").read_text().splitlines()
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.+]+ \S+ rank 0 gpu - epoch \d+ step \d+: ", log[0])


@pytest.mark.slow
def test_a_driver_that_is_frozen_for_a_while_loses_nobody(digits, alone, tmp_path):
    process = driver(digits, tmp_path, 2, "exact", EPOCHS)
    wait_for(lambda: epochs_kept(tmp_path) > 10, process)
    process.send_signal(signal.SIGSTOP)
    time.sleep(2 * TIMEOUT_S)
    process.send_signal(signal.SIGCONT)
    code, said = ended(process)
    assert code == 0, said
    run = run_in(tmp_path)
    assert run.read()["restarts"] == 0
    same_run(alone, run)


@pytest.mark.slow
def test_a_cluster_that_goes_is_named_and_another_one_goes_on(digits, alone, tmp_path):
    clusters = [Cluster(), Cluster()]
    try:
        words = [f"cluster.address={clusters[0].head(2)}", f"cluster.token_path={clusters[0].token}"]
        process = driver(digits, tmp_path, 2, "exact", EPOCHS, *words)
        wait_for(lambda: epochs_kept(tmp_path) > 10, process)
        clusters[0].end()
        code, said = ended(process, limit_s=58)  # before Ray ends the process, after 60 s
        assert code == RegattaError.exit_code
        assert re.search(r"the Ray cluster at \S+ has gone \(.*\); what was saved is kept", said)
        words = [f"cluster.address={clusters[1].head(2)}", f"cluster.token_path={clusters[1].token}"]
        code, said = ended(driver(digits, tmp_path, 2, "exact", EPOCHS, *words))
        assert code == 0, said
        assert "goes on from epoch" in said
        same_run(alone, run_in(tmp_path))
    finally:
        for cluster in clusters:
            cluster.end()


@pytest.mark.parametrize(
    ("workers", "reduce", "changes", "said"),
    [
        (3, "exact", {"shards": 2}, r"train.shards = 2: cluster.reduce=exact needs a shard .* 3; say train.shards=4"),
        (3, "fast", {"batch_size": 2, "shards": 1}, "train.batch_size = 2: the whole batch"),
    ],
)
def test_batches_that_cannot_be_shared_are_refused(workers, reduce, changes, said):
    _, train, cluster, _ = configs(3, workers, reduce, **changes)
    with pytest.raises(ConfigError, match=said):
        check_shards(train, cluster, train.batch_size)


@pytest.mark.parametrize(("reduce", "rows"), [("exact", 16), ("fast", 8)])
def test_a_shard_that_does_not_fit_is_told_with_what_may(digits, reduce, rows):
    with pytest.raises(RuntimeError) as found:
        torch.empty(1 << 50)
    ended = _ended(found.value)
    assert ended.how == "memory"
    model, train, _, policy = configs(3, shards=4, batch_size=64)
    task = Task(*program_of(model, train, digits.manifest), policy, "none", "cpu", 1, 2, reduce, 60.0, 10.0)
    said = too_large(task, "there", ended.text)
    assert f"train.shards = 4: a shard of {rows} samples does not fit into the memory of there" in said
    assert "can't allocate memory" in said
    assert "say train.shards=8" in said


def test_gpus_beyond_the_limit_are_refused():
    cluster = configs(3, 4)[2].model_copy(update={"max_gpus": 2.0})
    with pytest.raises(ConfigError, match=r"cluster.max_gpus = 2: cluster.workers = 4 of 1 GPU each take 4"):
        needs_of(cluster, "cuda", 1)
    halves = cluster.model_copy(update={"gpus_per_worker": 0.5})
    assert needs_of(halves, "cuda", 1) == Needs(1, 0.5)


@pytest.mark.parametrize(
    ("resources", "needs", "num"),
    [
        ({"CPU": 8.0}, Needs(2, 0.0), 4),
        ({"CPU": 8.0}, Needs(1, 1.0), 0),
        ({"CPU": 8.0, "GPU": 2.0}, Needs(1, 0.5), 4),
        ({"CPU": 3.0, "GPU": 8.0}, Needs(1, 1.0), 3),
    ],
)
def test_how_many_workers_fit_on_a_node(resources, needs, num):
    assert fitting(resources, needs) == num


def test_fast_sums_differ_by_rounding_alone(own_cluster, digits, tmp_path, monkeypatch):
    few = {"shards": 1, "warmup_epochs": 1.0, "limit": 101}  # a last batch of one sample: one of the workers has none of it
    runs = []
    for workers, reduce in ((1, "exact"), (2, "fast")):
        monkeypatch.setenv("REGATTA_RUNS", str(tmp_path / reduce))
        runs.append(fit_with(digits.path, 2, workers, reduce, **few))
    one, other = runs
    assert one.read()["hashes"]["run"] != other.read()["hashes"]["run"]
    weights = [run.load_state()[0]["parameters"] for run in runs]
    np.testing.assert_allclose(weights[0], weights[1], rtol=0, atol=1e-5)


def test_more_workers_than_the_cluster_holds_are_refused_by_number(own_cluster):
    cluster = configs(3, 3, **{"cluster.min_workers": 3})[2]
    said = r"cluster.workers = 3 of 1 CPU each: the cluster has room for 2 \(1 node: 2 CPUs\)"
    with pytest.raises(ConfigError, match=said):
        wanted(cluster, Needs(1, 0.0), None, lambda: None)
