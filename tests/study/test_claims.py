"""Runners that share a folder of results: who may compute what, and two of them at one study, whatever happens to one."""

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from study_project import by_hash, definition, make_project, planned_study
from test_study_run import EPOCHS, HERE, NONE, Inline, alive, at_work, children, claims_left, same, wait_for

from pipeline import artifacts
from pipeline.errors import BusyError, StorageError
from pipeline.study import run as run_module
from pipeline.study import schedule
from pipeline.study.claims import LEASE_S, SIGN, TAKING, Claims, this_runner
from pipeline.study.job import Capacity, state_path
from pipeline.study.pack import run_pack
from pipeline.study.processes import LAST_S, Processes
from pipeline.study.run import SharedAgenda, compute, cut_to_fit

RUNS = ["a", "b", "c"]
FAR = {"machine": "another", "host": "far"}
SIX_SHAPES = {f"w{width}": {"model.widths": [width]} for width in (8, 10, 12, 14, 18)}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "claims"


@pytest.fixture
def project(tmp_path, monkeypatch):
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGATTA_RUNS", raising=False)
    return tmp_path


@pytest.fixture
def ended():
    """The number of a process that has ended and that nobody has waited for."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    wait_for(lambda: not alive(process.pid))
    yield process.pid
    process.wait()


def left_behind(folder, names, silent_s=0.0, processes=(), **who):
    """What a runner leaves that was cut off so long ago."""
    runner = dataclasses.replace(this_runner(), **who)
    sign = folder / f"{runner.name}{SIGN}"
    artifacts.make_dir(folder)
    artifacts.append_jsonl(sign, [dataclasses.asdict(runner), *({"process": pid} for pid in processes)])
    for name in names:
        assert artifacts.create_new(folder / name, json.dumps(dataclasses.asdict(runner)).encode())
    then = sign.stat().st_mtime - silent_s
    for file in (sign, *(folder / name for name in names)):
        os.utime(file, (then, then))
    return runner


def test_a_file_is_created_by_one(tmp_path):
    assert artifacts.create_new(tmp_path / "file", b"first")
    assert not artifacts.create_new(tmp_path / "file", b"second")
    assert (tmp_path / "file").read_bytes() == b"first"
    with pytest.raises(StorageError, match="file/below: can't be written"):
        artifacts.create_new(tmp_path / "file" / "below", b"")


def test_a_run_is_claimed_by_one_runner_until_it_lets_go(folder):
    with Claims(folder) as one, Claims(folder) as other:
        assert one.take(["a", "b"])
        assert one.take(["b"]), "what is its own"
        assert not other.take(["b"])
        assert list(other.others(RUNS)) == ["a", "b"]
        assert f"process {os.getpid()} on " in other.others(RUNS)["a"]
        one.release(["b"])
        assert other.take(["b", "c"])
        assert list(one.others(RUNS)) == ["b", "c"]
    assert list(folder.iterdir()) == []


def test_runs_are_claimed_together_or_not_at_all(folder):
    with Claims(folder) as one, Claims(folder) as other:
        assert one.take(["b"])
        assert not other.take(RUNS)
        assert other.held == set()
        assert one.take(RUNS), "nothing is left of the attempt"


def test_claims_end_with_their_runner_whatever_ends_it(folder):
    def broken():
        with Claims(folder) as own:
            own.take(RUNS)
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        broken()
    assert list(folder.iterdir()) == []


def test_what_a_dead_process_of_this_machine_held_is_taken_over_at_once(folder, ended):
    left_behind(folder, RUNS, pid=ended)
    with Claims(folder) as own:
        assert own.others(RUNS) == {}
        assert own.take(RUNS)
        [line] = own.news
        assert line.startswith(f"study: 3 runs are taken over from process {ended} on ")
        assert line.endswith("which has ended")
    assert list(folder.iterdir()) == []


def test_a_dead_process_holds_its_runs_while_what_it_has_started_still_saves(folder, ended):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as worker, Claims(folder) as own:
        left_behind(folder, RUNS, pid=ended, processes=[worker.pid])
        assert not own.take(RUNS)
        worker.communicate(b"\n")
        assert own.take(RUNS)


def test_processes_that_a_runner_starts_are_said_in_its_sign_of_life(folder):
    with Claims(folder) as own:
        own.renew([11, 12])
        own.renew([12, 13])
        assert [line.get("process") for line in artifacts.read_jsonl(own.sign)] == [None, 11, 12, 13]


def test_a_number_of_another_machine_says_nothing(folder, ended):
    left_behind(folder, RUNS, pid=ended, **FAR)
    with Claims(folder) as own:
        assert not own.take(RUNS)
        assert len(own.others(RUNS)) == 3


def test_a_claim_lapses_without_signs_of_life(folder):
    assert LEASE_S > LAST_S, "a runner that waits for its workers to save gives none"
    left_behind(folder, RUNS, silent_s=LEASE_S - 5, name="quiet", **FAR)
    with Claims(folder) as own:
        assert not own.take(RUNS)
    for name in (*RUNS, f"quiet{SIGN}"):
        os.utime(folder / name, (time.time() - LEASE_S - 5,) * 2)
    with Claims(folder) as own:
        assert own.others(RUNS) == {}
        assert own.take(RUNS)
        assert "silent for 9" in own.news[0]
    assert list(folder.iterdir()) == []


def test_a_runner_at_work_keeps_its_claims(folder):
    with Claims(folder, lease_s=1.0) as own, Claims(folder, lease_s=1.0) as other:
        own.take(RUNS)
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            own.renew([])
            other.renew([])
            assert not other.take(["a"])
            time.sleep(0.02)


@pytest.mark.parametrize("content", [b"", b'{"name": "x', b"[1, 2]", b'{"name": "x"}', b"\xff\xfe"])
def test_a_torn_claim_holds_as_long_as_one_without_signs_of_life(folder, content):
    artifacts.make_dir(folder)
    artifacts.create_new(folder / "a", content)
    with Claims(folder) as own:
        assert not own.take(["a"])
        assert own.others(["a"]) == {"a": "somebody whose claim is torn"}
        os.utime(folder / "a", (time.time() - LEASE_S - 5,) * 2)
        assert own.take(["a"])
        assert own.news == ["study: 1 run is taken over from somebody whose claim is torn"]
    assert list(folder.iterdir()) == []


def test_a_claim_whose_runner_left_no_other_trace_lapses_too(folder):
    runner = left_behind(folder, ["a"], silent_s=LEASE_S + 5, **FAR)
    (folder / f"{runner.name}{SIGN}").unlink()
    with Claims(folder) as own:
        assert own.take(["a"])


def test_a_taker_that_was_killed_blocks_nobody(folder, ended):
    old = left_behind(folder, ["a"], silent_s=LEASE_S + 5, **FAR)
    taker = dataclasses.replace(this_runner(), pid=ended)
    artifacts.create_new(folder / f"a-{old.name}{TAKING}", json.dumps(dataclasses.asdict(taker)).encode())
    own = Claims(folder)
    own._touch()  # without the sweep at the start
    assert not own.take(["a"])
    assert own.take(["a"])
    with own:
        pass
    assert list(folder.iterdir()) == []


def test_who_stood_still_sees_what_was_taken_over_and_leaves_it_alone(folder):
    with Claims(folder) as own, Claims(folder) as other:
        own.take(RUNS)
        own.own = dataclasses.replace(own.own, machine="another")  # whose processes `other` can't see
        for name in RUNS:
            (folder / name).write_text(json.dumps(dataclasses.asdict(own.own)))
        own.touched -= LEASE_S + 10
        os.utime(own.sign, (own.touched, own.touched))
        assert other.take(["a", "b"])
        own.renewed -= LEASE_S
        own.renew([])
        assert own.held == {"c"}
        assert own.news[0].endswith("in which others took over 2 of its runs")
        own.release(RUNS)
        assert sorted(other.others(RUNS)) == []
        assert (folder / "a").exists()


RACE = """
import sys, time
from pathlib import Path
from pipeline.study.claims import Claims

folder, rounds, start = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
with Claims(folder) as own:
    for i in range(rounds):
        while time.time() < start + 0.005 * i:
            pass
        if own.take([f"run{i}"]):
            print(i)
    print("end", flush=True)
    sys.stdin.read()  # keeps its claims until all have tried
"""


def test_one_of_several_takers_of_a_lapsed_claim_wins(folder):
    rounds, takers = 400, 4
    left_behind(folder, [f"run{i}" for i in range(rounds)], silent_s=LEASE_S + 5, **FAR)
    words = [sys.executable, "-c", RACE, str(folder), str(rounds), str(time.time() + 2)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    processes = [subprocess.Popen(words, cwd=HERE.parents[1], **pipes) for _ in range(takers)]
    won = [list(iter(process.stdout.readline, b"end\n")) for process in processes]
    for process in processes:
        process.communicate()
    assert sorted(int(i) for own in won for i in own) == list(range(rounds)), "each by one"
    assert list(folder.iterdir()) == []


def test_a_single_runner_leaves_no_claims(project):
    compute(planned_study(definition(SIX_SHAPES, seeds=1)), Inline())
    assert len(by_hash()) == 6
    assert claims_left() == []


def with_another(monkeypatch, chosen, names_of, act):
    """Compute a study while another runner holds some of its runs, which acts when this one has nothing left to do."""
    planned = cut_for_one_worker(planned_study(chosen))
    cells = artifacts.runs_root() / "cells"
    with Claims(cells / "claims") as other:
        assert other.take(names_of(planned))
        with monkeypatch.context() as patched:
            turns = itertools.count()
            patched.setattr(schedule, "nothing", lambda wait_s: (next(turns) and act(other, planned)) or [])
            workers = Inline()
            return compute(planned, workers), workers.started


def test_what_another_computes_is_awaited_and_picked_up(project, monkeypatch, capsys):
    chosen = definition(SIX_SHAPES, seeds=1)

    def finish(other, planned):
        for job in planned.jobs:
            if job.cells[0].hash in other.held:
                SharedAgenda(planned, other).take(job, run_pack(job, lambda share: True))

    outcomes, started = with_another(
        monkeypatch, chosen, lambda planned: [job.cells[0].hash for job in planned.jobs[:2]], finish
    )
    assert sum(started) == 4
    assert {outcome.result.hash: outcome.result.to_json() for outcome in outcomes} == by_hash()
    assert capsys.readouterr().out.count("study: waiting for 2 runs of process") == 1
    assert claims_left() == []


def test_what_another_lets_go_of_without_a_result_is_computed(project, monkeypatch):
    chosen = definition(SIX_SHAPES, seeds=1)
    outcomes, started = with_another(
        monkeypatch,
        chosen,
        lambda planned: [job.cells[0].hash for job in planned.jobs[:2]],
        lambda other, planned: other.release(list(other.held)),
    )
    assert sum(started) == 6
    assert len(outcomes) == 6


def test_a_group_that_another_has_a_part_of_is_cut_anew(project, monkeypatch):
    chosen = definition({"none": {"model.dropout": 0.0}}, seeds=4)
    _, started = with_another(
        monkeypatch,
        chosen,
        lambda planned: [planned.jobs[0].cells[0].hash],
        lambda other, planned: other.release(list(other.held)),
    )
    assert sum(started) == 8
    assert max(started) < 8


def test_a_result_that_lacks_what_is_asked_for_is_not_taken_from_another(project, monkeypatch):
    def finish(other, planned):
        for job in planned.jobs:
            SharedAgenda(planned, other).take(job, run_pack(dataclasses.replace(job, test=False), lambda share: True))

    chosen = definition(SIX_SHAPES, seeds=1, test=True)
    everything = lambda planned: [one.hash for job in planned.jobs for one in job.cells]  # noqa: E731
    outcomes, started = with_another(monkeypatch, chosen, everything, finish)
    assert sum(started) == 6
    assert all("test_loss" in outcome.result.metrics for outcome in outcomes)


def test_a_state_is_gone_on_from_under_the_name_of_its_new_runner(project):
    planned = planned_study(definition(SIX_SHAPES, seeds=1))
    job = planned.jobs[0]
    common = Path(job.state)
    artifacts.make_dir(common.parent)
    for name, mark in (("", 1), ("-killed", 2)):
        artifacts.save_tensors(
            common.with_name(f"{common.stem}{name}.safetensors"), {}, {"cells": [job.cells[0].hash], "mark": mark}
        )
    with Claims(artifacts.runs_root() / "cells" / "claims") as claims:
        own = SharedAgenda(planned, claims).claim(job)
    assert own.state != job.state == state_path(job.cells)
    assert artifacts.load_tensors(Path(own.state))[1]["mark"] == 2, "the newest"
    assert [str(file) for file in common.parent.glob("*.safetensors")] == [own.state]


def test_data_that_another_runner_makes_is_waited_for(monkeypatch, capsys):
    monkeypatch.setattr(run_module, "LOOK_EVERY_S", 0.0)
    answers = iter([BusyError("held by process 7"), BusyError("held by process 7"), "made"])

    def make():
        answer = next(answers)
        if isinstance(answer, BusyError):
            raise answer
        return answer

    assert run_module._patiently(make) == "made"
    assert capsys.readouterr().out.count("held by process 7") == 1


class Logged(Processes):
    """One worker; each start is a line of a log: the runs, and whether they go on from a state."""

    def __init__(self, log):
        super().__init__(1)
        self.log = log

    def start(self, job):
        entry = {"runs": [cell.hash for cell in job.cells], "resumed": Path(job.state).exists()}
        artifacts.append_jsonl(self.log, [entry])
        return super().start(job)


def cut_for_one_worker(planned):
    def capacity(threads, device):
        return Capacity(1, 10**12)

    return dataclasses.replace(planned, jobs=cut_to_fit(planned.jobs, capacity), capacity=capacity)


def runner(name, variants, seeds, epochs):
    """What a runner's process does: plan, wait for a word to go, compute; outcomes and a log are left."""
    chosen = definition(json.loads(variants), int(seeds), baseline={"train.epochs": int(epochs)})
    planned = cut_for_one_worker(planned_study(chosen))
    Path(f"ready-{name}").touch()
    wait_for(Path(f"go-{name}").exists, limit_s=120)
    outcomes = compute(planned, Logged(Path(f"log-{name}")))
    artifacts.write_json(Path(f"outcomes-{name}"), [[own.variant, own.seed, own.result.to_json()] for own in outcomes])


def ready(names, variants, seeds, epochs):
    """Processes of runners that have planned and wait."""
    root = str(HERE.parents[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, str(HERE), str(HERE.parent)]), "OMP_NUM_THREADS": "1"}
    code = "import sys; from test_claims import runner; runner(*sys.argv[1:])"
    processes = []
    for name in names:
        words = [sys.executable, "-c", code, name, json.dumps(variants), str(seeds), str(epochs)]
        with Path(f"said-{name}").open("w") as said:
            processes.append(subprocess.Popen(words, env=environment, stdout=said))
    wait_for(lambda: all(Path(f"ready-{name}").exists() for name in names), limit_s=120)
    return processes


def go(*names):
    for name in names:
        Path(f"go-{name}").touch()


def log_of(*names):
    return [entry for name in names for entry in artifacts.read_jsonl(Path(f"log-{name}"))]


def outcomes_of(name):
    return json.loads(Path(f"outcomes-{name}").read_text())


def alone(project, monkeypatch, chosen):
    """The results of the same study by one runner, elsewhere."""
    monkeypatch.setenv("REGATTA_RUNS", str(project / "other"))
    compute(planned_study(chosen), Inline())
    return by_hash()


@pytest.mark.slow
def test_two_runners_compute_each_run_once_and_end_with_the_same(project, monkeypatch):
    processes = ready("ab", SIX_SHAPES, 2, 5)
    go("a", "b")
    assert [process.wait(120) for process in processes] == [0, 0]
    runs = [name for entry in log_of("a", "b") for name in entry["runs"]]
    assert sorted(runs) == sorted(by_hash()), "each once"
    assert len(runs) == 12
    assert log_of("a"), "something for each"
    assert log_of("b")
    assert outcomes_of("a") == outcomes_of("b")
    assert claims_left() == []
    shared = by_hash()
    same(shared, alone(project, monkeypatch, definition(SIX_SHAPES, 2, baseline={"train.epochs": 5})))


@pytest.mark.slow
def test_when_one_is_killed_the_other_goes_on_from_its_state(project, monkeypatch):
    first, second = ready("ab", NONE, 1, EPOCHS)
    go("a")
    wait_for(lambda: at_work(first.pid))
    go("b")
    wait_for(lambda: "waiting for 2 runs of process" in Path("said-b").read_text())
    workers = children(first.pid)
    first.send_signal(signal.SIGKILL)
    assert second.wait(120) == 0
    first.wait()
    assert not any(map(alive, workers))
    assert f"2 runs are taken over from process {first.pid} on " in Path("said-b").read_text()
    assert [entry["resumed"] for entry in log_of("a", "b")] == [False, True]
    assert claims_left() == []
    assert list((artifacts.runs_root() / "cells").glob("*.safetensors")) == []
    shared = by_hash()
    same(shared, alone(project, monkeypatch, definition(NONE, 1, baseline={"train.epochs": EPOCHS})))
