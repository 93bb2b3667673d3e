"""Runs are compared only where they are judged on the same samples: by key, and by what the datasets hold."""

import numpy as np
import pytest
from PIL import Image
from study_project import CONF, definition
from test_study_run import Inline

from pipeline import artifacts
from pipeline.closure import stage_digest
from pipeline.config import composed, write_params
from pipeline.data.dataset import open_dataset
from pipeline.data.views import write_view_folder
from pipeline.errors import ConfigError
from pipeline.prepare.build import build_dataset
from pipeline.study.plan import configuration, problems
from pipeline.study.run import compute, open_materials, plan
from pipeline.study.samples import samples_digest

OTHER = "judged on other samples, so it can't be compared seed by seed"
FEWER = "; for fewer training samples use train.limit"
DATA = ["data=folder", "data.train_path=pictures/train", "data.val_path=pictures/val", "data.size=8"]


@pytest.fixture(scope="module")
def values():
    return composed(CONF)


@pytest.mark.parametrize(
    ("key", "value", "instead"),
    [("split_seed", 1, ""), ("val_fraction", 0.3, FEWER), ("test_fraction", 0.3, FEWER), ("limit", 500, FEWER)],
)
def test_a_variant_or_level_with_another_split_is_refused_by_name(values, key, value, instead):
    path, now = f"prepare.{key}", repr(values["prepare"][key])
    said = f"{path} = {value!r} (baseline: {now}): {OTHER}{instead}"
    assert problems(definition({"other": {path: value}}), values) == [f"variant other: {said}"]
    factors = {"split": {"own": {}, "other": {path: value}}, "dropout": {"0": {}, "half": {"model.dropout": 0.5}}}
    found = problems(definition({}, factors=factors), values)
    assert [line for line in found if line.startswith("variant other-0:")] == [f"variant other-0: {said}"]
    assert [line.split(":")[0] for line in found] == ["variant other-0", "variant other-half"]


def test_what_all_of_a_studys_runs_share_may_differ_from_the_project(values):
    assert problems(definition({"half": {"model.dropout": 0.5}}, baseline={"prepare.split_seed": 3}), values) == []
    same = {"half": {"model.dropout": 0.5, "prepare.split_seed": 3}}
    assert problems(definition(same, baseline={"prepare.split_seed": 3}), values) == []


def test_given_validation_samples_stay_whatever_is_cut_from_the_others(values):
    given = {**values, "data": {**values["data"], "source": "folder", "path": None, "train_path": "a", "val_path": "b"}}
    assert problems(definition({"other": {"prepare.test_fraction": 0.3}}), given) == []
    [line] = problems(definition({"other": {"prepare.limit": 50}}), given)
    assert line.startswith("variant other: prepare.limit = 50 (baseline: None): judged on other samples")


def picture(rng, shade, side):
    return Image.fromarray(np.clip(rng.normal(shade, 20, (side, side)), 0, 255).astype(np.uint8))


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Dark and light pictures, given as training and validation samples; one of the latter is larger than all others."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGATTA_RUNS", raising=False)
    rng = np.random.default_rng(0)
    for split, num in (("train", 40), ("val", 12)):
        for kind, shade in (("dark", 60), ("light", 180)):
            folder = tmp_path / "pictures" / split / kind
            folder.mkdir(parents=True)
            for i in range(num):
                picture(rng, shade, 20 if (split, i) == ("val", 0) else 10).save(folder / f"{i}.png")
    values = composed(CONF, [*DATA, "augment=none", "train.device=cpu", "prepare.max_bad_fraction=0.5", "train.batch_size=16"])
    write_params(values)
    own = configuration(values)
    artifacts.stage_dir("prepare").mkdir(parents=True)
    build_dataset(own.data, own.prepare, artifacts.stage_dir("prepare"), stage_digest("prepare", own.data.kind))
    artifacts.stage_dir("augment").mkdir()
    write_view_folder(open_dataset(artifacts.stage_dir("prepare")), own.augment, artifacts.stage_dir("augment"), None)
    return values


def plan_of(chosen, values):
    return plan("s", chosen, values, open_materials(values))


def test_a_variant_whose_dataset_validates_on_other_samples_is_refused_before_anything_runs(pictures):
    chosen = definition({"small": {"data.max_pixels": 200}}, seeds=2)
    assert problems(chosen, pictures) == [], "the keys alone do not tell"
    with pytest.raises(ConfigError) as caught:
        plan_of(chosen, pictures)
    assert str(caught.value) == (
        f"study s: variant small: its validation samples are others than baseline (data.max_pixels = 200): {OTHER}"
    )
    assert not list(artifacts.cells_root().glob("*.json"))


def test_the_test_samples_count_where_the_study_reads_them(pictures):
    less = {"less": {"prepare.test_fraction": 0.3}}
    with pytest.raises(ConfigError, match="variant less: its test samples are others than baseline"):
        plan_of(definition(less, seeds=2, test=True), pictures)
    plan_of(definition(less, seeds=2), pictures)


def test_the_same_samples_shown_otherwise_are_compared(pictures):
    outcomes = compute(plan_of(definition({"tiny": {"data.size": 4}, "few": {"train.limit": 20}}, seeds=1), pictures), Inline())
    assert [outcome.result.failure for outcome in outcomes] == [None] * 3
    assert {o.result.val_samples for o in outcomes} == {samples_digest(open_dataset(artifacts.stage_dir("prepare")), "val")}
    assert {o.result.test_samples for o in outcomes} == {None}


def test_known_results_of_other_samples_are_refused_too(pictures):
    chosen = definition({"half": {"model.dropout": 0.5}}, seeds=1)
    outcomes = compute(plan_of(chosen, pictures), Inline())
    file = artifacts.cells_root() / f"{outcomes[1].result.hash}.json"
    artifacts.write_json(file, {**outcomes[1].result.to_json(), "val_samples": "others"})
    with pytest.raises(ConfigError, match="variant half: its validation samples are others than baseline"):
        plan_of(chosen, pictures)
    older = {key: value for key, value in outcomes[1].result.to_json().items() if not key.endswith("_samples")}
    artifacts.write_json(file, older)
    assert plan_of(chosen, pictures).num_missing == 1, "a result that does not say on which samples is computed again"


def test_labels_are_part_of_the_samples_and_how_they_are_shown_is_not(pictures):
    prepared = open_dataset(artifacts.stage_dir("prepare"))
    before = samples_digest(prepared, "val")
    labels = np.array(prepared.split("val").labels)
    np.save(prepared.path / "val" / "labels.npy", np.roll(labels, 1))
    assert samples_digest(prepared, "val") != before
