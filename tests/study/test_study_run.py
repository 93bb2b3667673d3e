"""Studies on real digits: each run computed once, failures recorded, whatever is killed on the way."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
import yaml
from study_project import by_hash, definition, make_project, planned_study, run_study
from training_helpers import untimed

from pipeline import artifacts
from pipeline.errors import ConfigError, RegattaError, Stopped, StorageError
from pipeline.study import run as run_module
from pipeline.study.effects import effects
from pipeline.study.job import Capacity, bytes_of_one, grouped
from pipeline.study.pack import run_pack
from pipeline.study.plan import variants
from pipeline.study.processes import Processes
from pipeline.study.run import compute, open_materials, plan
from pipeline.study.schedule import Done, Failed, JobLost, after_loss
from pipeline.study.stored import place
from pipeline.study.tables import cells_table, curves_table

EPOCHS = 400
HERE = Path(__file__).resolve().parent
NONE = {"none": {"model.dropout": 0.0}}


class Inline:
    """Jobs in this process, one after the other."""

    def __init__(self):
        self.waiting, self.started = [], []

    def has_place(self, _job):
        return not self.waiting

    def start(self, job):
        self.waiting.append(job)
        self.started.append(len(job.cells))
        return len(self.started)

    def events(self, _timeout_s):
        return [(len(self.started), Done(run_pack(job, lambda share: True))) for job in [self.waiting.pop()]]

    def stop(self):
        pass


@pytest.fixture
def project(tmp_path, monkeypatch):
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGATTA_RUNS", raising=False)
    return tmp_path


def computed(chosen, tables=None, accept_code=False):
    workers = Inline()
    return compute(planned_study(chosen, tables, accept_code), workers), workers.started


def claims_left():
    folder = artifacts.runs_root() / "cells" / "claims"
    return list(folder.iterdir()) if folder.exists() else []


def same(one, other):
    """Results of the same runs, but for times and who ran beside them."""
    assert one.keys() == other.keys()
    for name in one:
        apart = {"seconds"}
        assert untimed(one[name]["rows"]) == untimed(other[name]["rows"])
        metrics = [{key: value for key, value in found[name]["metrics"].items() if key not in apart} for found in (one, other)]
        assert metrics[0] == metrics[1]


def test_only_missing_runs_are_computed(project):
    computed(definition(NONE, seeds=2))
    outcomes, started = computed(definition(NONE, seeds=3))
    assert sum(started) == 2, "one new seed of each variant"
    assert [(outcome.variant, outcome.seed) for outcome in outcomes] == [(v, s) for v in ("baseline", "none") for s in range(3)]
    assert len(by_hash()) == 6
    assert computed(definition(NONE, seeds=3))[1] == []


def test_runs_that_two_studies_share_are_computed_once(project):
    computed(definition(NONE))
    assert sum(computed(definition({"half": {"model.dropout": 0.1}}))[1]) == 3, "the baseline's are known"


def test_a_clone_that_pulled_the_tables_computes_only_what_is_new(project, monkeypatch):
    outcomes, _ = computed(definition(NONE, seeds=2))
    tables = project / "artifacts" / "study" / "s"
    tables.mkdir(parents=True)
    pq.write_table(cells_table(outcomes), tables / "cells.parquet")
    pq.write_table(curves_table(outcomes), tables / "curves.parquet")
    monkeypatch.setenv("REGATTA_RUNS", str(project / "elsewhere"))
    again, started = computed(definition(NONE, seeds=3), tables)
    assert sum(started) == 2
    assert [outcome.result for outcome in again if outcome.seed < 2] == [outcome.result for outcome in outcomes]


def test_torn_results_are_computed_again(project, capsys):
    computed(definition(NONE, seeds=1))
    file = next((artifacts.runs_root() / "cells").glob("*.json"))
    file.write_text(file.read_text()[:40])
    assert sum(computed(definition(NONE, seeds=1))[1]) == 1
    assert f"{file}: not whole JSON" in capsys.readouterr().out


def test_a_torn_state_is_named_and_deleted_only_by_who_computes(project, capsys):
    file = artifacts.runs_root() / "cells" / "ab.safetensors"
    artifacts.make_dir(file.parent)
    artifacts.write_bytes(file, b"torn")
    values = yaml.safe_load(Path("values.yaml").read_text())
    plan("s", definition(NONE, seeds=1), values, open_materials(values), make=False)
    assert file.exists(), "a plan alone changes nothing"
    computed(definition(NONE, seeds=1))
    assert not file.exists()
    assert capsys.readouterr().out.count(f"{file}: not a whole safetensors file") == 2


def test_whoever_has_runs_to_compute_is_connected_first_even_if_all_of_them_have_states(project):
    connections = []

    def connect():
        connections.append("connected")
        return lambda threads, device: Capacity(2, 10**12)

    def planned_now(seeds):
        values = yaml.safe_load(Path("values.yaml").read_text())
        return plan("s", definition(NONE, seeds), values, open_materials(values), connect=connect)

    jobs = planned_now(2).jobs
    for job in jobs:
        artifacts.make_dir(Path(job.state).parent)
        artifacts.save_tensors(Path(job.state), {}, {"cells": [one.hash for one in job.cells]})
    assert {job.state for job in planned_now(2).jobs} == {job.state for job in jobs}
    assert len(connections) == 2
    for job in jobs:
        Path(job.state).unlink()
    computed(definition(NONE, seeds=2))
    assert planned_now(2).jobs == []
    assert len(connections) == 2, "there was nothing to compute"


def test_results_of_older_code_are_taken_when_they_are_accepted(project, monkeypatch):
    before, _ = computed(definition(NONE))
    import pipeline.runs.identity as identity_module

    monkeypatch.setattr(identity_module, "code_digest", lambda *_: "other code")
    outcomes, started = computed(definition(NONE, seeds=4), accept_code=True)
    assert sum(started) == 2, "the new seed has no older result"
    assert [outcome.accepted for outcome in outcomes] == [True, True, True, False] * 2
    assert outcomes[0].result == before[0].result
    assert sum(computed(definition(NONE, seeds=4))[1]) == 6


def test_a_failed_run_is_recorded_and_stops_no_other(project):
    wild = {"wild": {"train.learning_rate": 1e30, "train.warmup_epochs": 0.0}, **NONE}
    chosen = definition(wild)
    outcomes, _ = computed(chosen)
    found = effects("s", chosen, variants(chosen), outcomes)
    assert [(v["name"], v["num_failed"], v["num_seeds"]) for v in found["variants"]] == [("wild", 3, 0), ("none", 0, 3)]
    assert found["variants"][0]["verdict"] == "failed"
    assert all("not finite" in outcome.result.failure for outcome in outcomes if outcome.variant == "wild")
    assert claims_left() == []
    assert computed(chosen)[1] == [], "a failure is a result"


def test_a_harmful_variant_hurts(project):
    chosen = definition({"slow": {"train.learning_rate": 1e-6}})
    found = effects("s", chosen, variants(chosen), computed(chosen)[0])
    assert found["variants"][0]["verdict"] == "hurts"


def test_variants_of_data_and_augmentation_get_their_own_by_digest(project):
    changes = {"moved": {"augment.rotate": 20.0, "augment.views": 2}, "drawn": {"augment.rotate": 20.0}}
    chosen = definition({**changes, "small": {"data.size": 4}}, seeds=1)
    with pytest.raises(Exception, match="changed since `prepare` ran"):
        computed(chosen)  # the digits of this folder were not written by `prepare`
    outcomes, _ = computed(definition(changes, seeds=1))
    assert len(list((artifacts.runs_root() / "data").glob("*/views-00*.npy"))) == 2
    losses = [outcome.result.metrics["val_loss"] for outcome in outcomes]
    assert len(set(losses)) == 3


def test_widths_batches_and_samples_make_groups_and_all_else_runs_side_by_side(project):
    alike = {"a": {"train.learning_rate": 1e-2}, "b": {"model.dropout": 0.5}, "c": {"train.early_stop": 1}}
    others = {"wide": {"model.widths": [32]}, "batch": {"train.batch_size": 32}, "few": {"train.limit": 200}}
    jobs = planned_study(definition({**alike, **others}, seeds=1)).jobs
    assert len({job.program for job in jobs}) == 4
    assert sum(len(job.cells) for job in jobs) == 7


def test_groups_fit_into_memory_and_keep_workers_busy(project):
    [job, *_] = planned_study(definition(NONE, seeds=40)).jobs
    cells = job.cells * 5
    sizes = [len(part) for part in grouped(cells, job, Capacity(2, 10**12))]
    assert sum(sizes) == len(cells)
    assert len(sizes) % 2 == 0
    assert max(sizes) - min(sizes) <= 1
    assert {len(part) for part in grouped(cells, job, Capacity(2, 0))} == {1}, "never none"


def test_the_memory_of_a_run_is_that_of_what_its_layers_make_of_the_samples_there_are(project):
    [job, *_] = planned_study(definition(NONE, seeds=1, baseline={"model.arch": "cnn", "model.channels": [4, 8]})).jobs
    values = 64 + 4 * 64 + 8 * 16 + 16 + 10  # of 8 x 8 pixels: two convolutions with a pooling between, a hidden layer, outputs
    assert job.program.spec.num_values() == values
    few = dataclasses.replace(job, num_train=20, num_val=2)
    assert bytes_of_one(few) == 4 * (5 * job.program.spec.layout().num_columns + values * 40)


def test_the_test_split_is_judged_where_it_is_asked_for(project):
    computed(definition(NONE, seeds=1))
    outcomes, started = computed(definition(NONE, seeds=1, test=True))
    assert sum(started) == 2, "what was not judged is run again"
    assert all(0 < outcome.result.metrics["test_loss"] < 5 for outcome in outcomes)


def test_bad_studies_are_refused_before_anything_runs(project):
    wrong = {"big": {"train.batch_size": 10_000}, "typo": {"model.dropot": 0.1}}
    with pytest.raises(ConfigError, match=r"(?s)study s: variant typo.*study s: variant big: train.batch_size = 10000"):
        computed(definition(wrong))
    assert not (artifacts.runs_root() / "cells").exists()


@pytest.mark.parametrize(
    ("losses", "memory", "size", "expected"),
    [(1, False, 4, [4]), (2, False, 4, [2, 2]), (1, True, 5, [2, 3]), (2, False, 1, [1]), (3, False, 1, []), (1, True, 1, [])],
)
def test_a_lost_job_starts_again_and_then_in_halves(project, losses, memory, size, expected):
    [job, *_] = planned_study(definition(NONE, seeds=20)).jobs
    again = after_loss(dataclasses.replace(job, cells=job.cells[:size]), losses, memory)
    assert [len(own.cells) for own, _ in again] == expected


class Killing(Processes):
    """Kills the worker of its first job once it has said something."""

    killed = 0

    def events(self, timeout_s):
        found = super().events(timeout_s)
        if not self.killed and found and 1 in self.jobs:
            os.kill(self.jobs[1][0].pid, signal.SIGKILL)
            self.killed += 1
        return found


def test_a_killed_worker_costs_nothing_but_time(project, monkeypatch, capsys):
    chosen = definition(NONE, seeds=4, baseline={"train.epochs": 40})
    killing = Killing(2)
    compute(planned_study(chosen), killing)
    assert killing.killed == 1
    assert "SIGKILL" in capsys.readouterr().out
    with_loss = by_hash()
    monkeypatch.setenv("REGATTA_RUNS", str(project / "other"))
    computed(chosen)
    same(with_loss, by_hash())


def test_a_stopped_study_goes_on_bit_for_bit(project, monkeypatch):
    driver = [sys.executable, str(HERE / "study_driver.py"), "4", str(EPOCHS)]
    root = str(HERE.parents[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, str(HERE), str(HERE.parent)]), "OMP_NUM_THREADS": "1"}
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = subprocess.Popen(driver, env=environment)
        cells = artifacts.runs_root() / "cells"
        wait_for(lambda process=process: len(at_work(process.pid)) == 2)
        workers = children(process.pid)
        process.send_signal(number)
        process.wait(60)
        wait_for(lambda workers=workers: not any(map(alive, workers)))
        assert len(list(cells.glob("*.safetensors"))) == 2, "both workers have saved what they had"
        assert bool(claims_left()) == (number == signal.SIGKILL)
    subprocess.run(driver, env=environment, check=True)
    assert claims_left() == []
    killed = by_hash()
    assert len(killed) == 8
    assert list(cells.glob("*.safetensors")) == []
    monkeypatch.setenv("REGATTA_RUNS", str(project / "other"))
    run_study(4, epochs=EPOCHS)
    same(killed, by_hash())


def wait_for(true, limit_s=240):
    until = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def at_work(pid):
    """Workers that have trained for a second or so: those that the server has forked."""
    found = [psutil.Process(own) for child in children(pid) for own in children(child)]
    return [process for process in found if process.cpu_times().user > 1.0]


def children(pid):
    """All processes below one."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in file.read_text().split():
            found += [int(child), *children(int(child))]
    return found


def test_an_error_that_is_no_runs_own_ends_the_study(project, monkeypatch):
    class Broken(Inline):
        def events(self, _timeout_s):
            return [(1, Failed(StorageError("disk full")))]

    with pytest.raises(StorageError, match="disk full"):
        compute(planned_study(definition(NONE)), Broken())
    assert claims_left() == []


def test_a_worker_that_fails_by_a_defect_ends_the_study(project):
    planned = planned_study(definition(NONE, seeds=1))
    wrong = dataclasses.replace(planned.jobs[0], threads="two")
    with pytest.raises(RegattaError, match="exit code 1; what went wrong is said above"):
        compute(dataclasses.replace(planned, jobs=[wrong]), Processes(1))


def test_a_run_that_takes_its_workers_with_it_is_given_up_and_tried_again_next_time(project):
    class Losing(Inline):
        def events(self, _timeout_s):
            self.waiting.pop()
            return [(len(self.started), JobLost("gone"))]

    outcomes = compute(planned_study(definition(NONE, seeds=1)), Losing())
    assert [outcome.result.failure for outcome in outcomes] == ["gone", "gone"]
    assert claims_left() == []
    assert sum(computed(definition(NONE, seeds=1))[1]) == 2


def test_a_signal_stops_between_events(project):
    class Signalled(Inline):
        def events(self, timeout_s):
            os.kill(os.getpid(), signal.SIGTERM)
            return []

    with pytest.raises(Stopped, match="SIGTERM"):
        compute(planned_study(definition(NONE)), Signalled())
    assert claims_left() == []


def test_a_state_that_can_be_gone_on_from_is_found_whatever_else_is_planned(project):
    [job, *_] = planned_study(definition(NONE, seeds=4)).jobs
    artifacts.make_dir(Path(job.state).parent)
    artifacts.save_tensors(Path(job.state), {}, {"cells": [one.hash for one in job.cells]})
    again = planned_study(definition(NONE, seeds=5))
    assert job.state in {own.state for own in again.jobs}
    assert sum(len(own.cells) for own in again.jobs) == 10
    assert not place(job.cells[0].hash).exists()
    assert run_module.saved_states(tidy=True)


def test_a_state_whose_runs_all_have_results_goes_with_the_next_study(project):
    known = planned_study(definition(NONE, seeds=2))
    computed(definition(NONE, seeds=2))
    hashes = [one.hash for job in known.jobs for one in job.cells]
    left, other = (artifacts.cells_root() / f"{name}.safetensors" for name in ("left", "other"))
    artifacts.save_tensors(left, {}, {"cells": hashes})
    artifacts.save_tensors(other, {}, {"cells": [*hashes, "unfinished"]})
    computed(definition(NONE, seeds=2))
    assert not left.exists()
    assert other.exists(), "it can be gone on from"


def test_modules_and_the_built_in_net_are_compared_each_by_itself(project, own_modules):
    """A module runs by itself, whatever room there is."""
    nets = {
        "cnn": {"model.arch": "module", "model.name": "cnn", "model.keys.width": 4},
        "patches": {"model.arch": "module", "model.name": "patches"},
    }
    todo = planned_study(definition(nets, seeds=2, baseline={"train.epochs": 1}))
    several = [one for job in todo.jobs for one in grouped(job.cells * 3, job, Capacity(1, 2**40))]
    assert sorted(map(len, several)) == [1] * 12 + [3] * 2, "modules one by one, the others side by side"
    outcomes = compute(todo, Inline())
    assert [outcome.variant for outcome in outcomes] == ["baseline"] * 2 + ["cnn"] * 2 + ["patches"] * 2
    found = {(outcome.variant, outcome.seed): outcome.result for outcome in outcomes}
    assert len({result.metrics["val_loss"] for result in found.values()}) == 6
    layers = {name: list(found[name, 0].rows[0]["layer_grad_norms"]) for name in ("baseline", "cnn")}
    assert layers == {"baseline": ["dense1", "output"], "cnn": ["scale", "stem", "head"]}
    assert found["cnn", 0].code != found["baseline", 0].code, "extensions.py is part of a module's code alone"
