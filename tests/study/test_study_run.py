"""Studies on real digits: computed once, failures recorded, effects in words."""

import os
import signal

import pytest
from test_plan import MODEL, TRAIN, study
from training_helpers import OFF, untimed

from pipeline import artifacts
from pipeline.errors import Stopped
from pipeline.study import run as run_module
from pipeline.study.plan import cells
from pipeline.study.run import compute, effects, sentences, table
from pipeline.train.fit import Views

QUICK = {"train.epochs": 3, "train.warmup_epochs": 1.0, "model.widths": [16]}


@pytest.fixture
def computed(digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGATTA_RUNS", raising=False)

    def go(variants, num_seeds=3):
        chosen = cells(study(variants, QUICK, num_seeds), MODEL, TRAIN)
        return chosen, compute(chosen, digits, Views([], OFF, "none"))

    return go


def test_only_missing_runs_are_computed(computed, monkeypatch):
    computed({"none": {"model.dropout": 0.0}}, num_seeds=2)
    trained = []
    monkeypatch.setattr(run_module, "run_to_end", _counting(trained, run_module.run_to_end))
    chosen, results = computed({"none": {"model.dropout": 0.0}}, num_seeds=3)
    assert trained == [2], "one new seed of each variant, side by side"
    assert len(results) == len(chosen) == 6
    assert len(list((artifacts.runs_root() / "cells").iterdir())) == 6


def _counting(trained, original):
    def run_to_end(training, *rest):
        trained.append(len(training.lanes))
        original(training, *rest)

    return run_to_end


def test_a_failed_run_is_recorded_and_stops_no_other(computed):
    chosen, results = computed(
        {"wild": {"train.learning_rate": 1e30, "train.warmup_epochs": 0.0}, "none": {"model.dropout": 0.0}}
    )
    found = effects("s", "?", chosen, results)
    wild, none = found["variants"]
    assert (wild["num_failed"], wild["num_seeds"], wild["verdict"]) == (3, 0, "failed")
    assert (none["num_failed"], none["num_seeds"]) == (0, 3)
    rows = table(chosen, results)
    assert all("not finite" in row["failure"] for row in rows if row["variant"] == "wild")
    assert len(rows) == 9 * 3
    assert sentences(found)[0] == "wild: failed; 3 runs failed"


def test_a_harmful_variant_hurts(computed):
    chosen, results = computed({"slow": {"train.learning_rate": 1e-6}})
    found = effects("s", "?", chosen, results)
    assert found["variants"][0]["verdict"] == "hurts"
    assert sentences(found)[0].startswith("slow: hurts, validation loss +")


def test_a_stopped_group_goes_on_bit_for_bit(computed, monkeypatch, tmp_path):
    _, whole = computed({"none": {"model.dropout": 0.0}})
    monkeypatch.setenv("REGATTA_RUNS", str(tmp_path / "other"))
    group = run_module.GroupKeeper

    class Stopping(group):
        def after_step(self, training):
            if (training.progress.epoch, training.progress.step) == (1, 7):
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(run_module, "GroupKeeper", Stopping)
    with pytest.raises(Stopped):
        computed({"none": {"model.dropout": 0.0}})
    assert [path.suffix for path in (tmp_path / "other" / "cells").iterdir()] == [".safetensors"]
    monkeypatch.setattr(run_module, "GroupKeeper", group)
    _, resumed = computed({"none": {"model.dropout": 0.0}})
    assert [untimed(result["rows"]) for result in resumed] == [untimed(result["rows"]) for result in whole]
    assert all(path.suffix == ".json" for path in (tmp_path / "other" / "cells").iterdir())
