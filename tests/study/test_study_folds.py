"""Studies over folds: a run for each variant, seed and fold, judged on the fold's own test part, which is read once."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from study_project import CONF, definition, planned_study
from test_study_run import Inline

from pipeline import artifacts
from pipeline.closure import stage_digest
from pipeline.config import composed
from pipeline.data.dataset import open_dataset
from pipeline.data.views import write_view_folder
from pipeline.errors import ConfigError
from pipeline.prepare.build import build_dataset
from pipeline.report.study.studies import runs_of
from pipeline.runs.reads import num_reads
from pipeline.study.effects import effects
from pipeline.study.plan import configuration, problems, variants
from pipeline.study.run import compute, open_materials, plan
from pipeline.study.samples import samples_digest
from pipeline.study.tables import cells_table, curves_table, results_of

FOLDS = 3
NONE = {"none": {"model.dropout": 0.0}}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A few prepared digits."""
    folder = tmp_path_factory.mktemp("folds")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("REGATTA_RUNS", raising=False)
        (folder / "conf" / "data").mkdir(parents=True)
        values = composed(CONF, ["augment=none", "train.device=cpu", "prepare.limit=240"])
        (folder / "values.yaml").write_text(yaml.safe_dump(values))
        own = configuration(values)
        artifacts.stage_dir("prepare").mkdir(parents=True)
        build_dataset(own.data, own.prepare, artifacts.stage_dir("prepare"), stage_digest("prepare", own.data.kind))
        artifacts.stage_dir("augment").mkdir()
        write_view_folder(open_dataset(artifacts.stage_dir("prepare")), own.augment, artifacts.stage_dir("augment"), None)
        yield folder


def folded(seeds=1, **more):
    return definition(NONE, seeds=seeds, folds=FOLDS, **more)


@pytest.fixture(scope="module")
def outcomes(project):
    return compute(planned_study(folded()), Inline())


def by_fold():
    """Where the dataset of each fold is."""
    found = {}
    for path in (artifacts.runs_root() / "data").glob("*/dataset.json"):
        note = json.loads(path.read_text())["notes"][0]
        found[int(note.removeprefix("test is fold ").split(" of ")[0])] = path.parent
    return found


def test_a_run_for_each_variant_fold_and_seed(outcomes):
    names = [(outcome.variant, outcome.fold, outcome.seed) for outcome in outcomes]
    assert names == [(name, fold, 0) for name in ("baseline", "none") for fold in (1, 2, 3)]
    assert len({outcome.result.hash for outcome in outcomes}) == 6
    assert sorted(by_fold()) == [1, 2, 3]
    for outcome in outcomes:
        data = open_dataset(by_fold()[outcome.fold])
        assert outcome.result.test_samples == samples_digest(data, "test")
        assert outcome.result.val_samples == samples_digest(data, "val")
        assert outcome.result.metrics["num_train"] == data.manifest.counts["train"]
        assert 0.0 < outcome.result.metrics["test_accuracy"] <= 1.0


def test_each_run_reads_its_folds_test_part_once_and_the_projects_never(outcomes):
    file = artifacts.runs_root() / "test-reads.jsonl"
    for path in by_fold().values():
        assert num_reads(file, path.name) == 2
    assert {read["run"] for read in artifacts.read_jsonl(file)} == {outcome.result.hash for outcome in outcomes}
    assert num_reads(file, open_dataset(artifacts.stage_dir("prepare")).manifest.digest) == 0


def test_no_run_is_computed_twice_and_a_seed_more_is_a_run_in_each_fold(outcomes):
    assert planned_study(folded()).jobs == []
    more = planned_study(folded(seeds=2))
    assert more.num_missing == 6
    assert {job.dataset for job in more.jobs} == {path.name for path in by_fold().values()}
    assert all(job.test for job in more.jobs)


def test_four_folds_share_nothing_with_three_and_are_foreseen_without_being_made(outcomes):
    values = yaml.safe_load(Path("values.yaml").read_text())
    four = definition(NONE, seeds=1, folds=4)
    todo = plan("s", four, values, open_materials(values), make=False)
    assert (todo.num_missing, len(by_fold())) == (8, 3)
    counts = open_dataset(artifacts.stage_dir("prepare")).manifest.counts
    whole = counts["train"] + counts["val"]
    test = round(whole / 4)
    val = round((whole - test) * 0.1)
    assert {(job.num_train, job.num_val) for job in todo.jobs} == {(whole - test - val, val)}


def test_the_tables_have_the_fold_and_keep_every_result(outcomes, tmp_path):
    pq.write_table(cells_table(outcomes), tmp_path / "cells.parquet")
    pq.write_table(curves_table(outcomes), tmp_path / "curves.parquet")
    cells = pq.read_table(tmp_path / "cells.parquet").to_pylist()
    assert {(row["variant"], row["fold"], row["hash"]) for row in cells} == {
        (outcome.variant, outcome.fold, outcome.result.hash) for outcome in outcomes
    }
    assert results_of(tmp_path / "cells.parquet", tmp_path / "curves.parquet") == {o.result.hash: o.result for o in outcomes}
    found = effects("s", folded(), variants(folded()), outcomes)
    runs = runs_of(tmp_path / "curves.parquet", found)
    assert {name: own.val_loss.shape for name, own in runs.items()} == {"baseline": (FOLDS, 3), "none": (FOLDS, 3)}


def test_the_verdict_is_of_the_test_parts(outcomes):
    found = effects("s", folded(), variants(folded()), outcomes)
    values = {(o.variant, o.fold): o.result.metrics["test_loss"] for o in outcomes}
    [variant] = found["variants"]
    assert found["metric"] == "test_loss"
    assert variant["differences"] == [values["none", fold] - values["baseline", fold] for fold in (1, 2, 3)]
    assert "test loss" in found["sentences"][0]


def test_folds_are_the_studys_own_and_cut_from_given_validation_samples_too(project):
    values = yaml.safe_load(Path("values.yaml").read_text())
    fold = {"prepare.fold": [1, 3]}
    [line] = problems(definition({"other": fold}), values)
    assert line.startswith("variant other: prepare.fold = [1, 3]: a variant may not change it (train.seed, prepare.fold")
    given = {**values, "data": {**values["data"], "source": "folder", "path": None, "train_path": "a", "val_path": "b"}}
    other = {"other": {"prepare.val_fraction": 0.3}}
    assert problems(definition(other), given) == []
    [line] = problems(definition(other, folds=3), given)
    assert line.startswith("variant other: prepare.val_fraction = 0.3 (baseline: 0.1): judged on other samples")
    with pytest.raises(ConfigError, match=r"study.folds = 2: should be greater than or equal to 3"):
        definition(NONE, folds=2)


def test_what_is_cut_by_time_has_no_folds(project):
    values = yaml.safe_load(Path("values.yaml").read_text())
    timed = {**values, "data": {**values["data"], "time": "date", "source": "csv", "path": "a"}}
    assert problems(definition(NONE), timed) == []
    [line] = problems(folded(), timed)
    assert line.startswith("folds (study.folds, prepare.fold) are dealt out by content, so with data.time")
