"""Networks that start from other runs, each against from scratch: what is planned, what is refused, what is found."""

from pathlib import Path

import numpy as np
import pytest
from run_helpers import configs
from run_helpers import run as run_to_end
from study_project import definition as quick
from study_project import make_project, planned_study

from pipeline.commands.root import said_from_root
from pipeline.commands.study import groups
from pipeline.config import composed
from pipeline.data.dataset import open_dataset
from pipeline.errors import ConfigError
from pipeline.runs.record import publish
from pipeline.schema.base import validated
from pipeline.schema.study import StudyDefinition
from pipeline.study.effects import effects
from pipeline.study.plan import cells, problems, variants
from pipeline.study.processes import Processes
from pipeline.study.run import compute, cores
from pipeline.train.program import program_of

CONF = Path(__file__).resolve().parents[2] / "conf"
SIZES = {"samples": {"all": {}, "3": {"train.per_class": 3}}}


@pytest.fixture(scope="module")
def values():
    return composed(CONF)


def study(**keys):
    return validated(StudyDefinition, {"question": "?", "seeds": 2, **keys}, "study")


def test_sources_are_a_factor_before_the_others_whose_first_level_starts_from_nothing(values):
    baseline = {"model.freeze": 1, "train.transferred_rate": 0.1, "train.epochs": 9}
    chosen = study(sources={"photos": "run-1", "sketches": "run-2"}, factors=SIZES, baseline=baseline)
    found = [(variant.name, variant.against) for variant in variants(chosen)]
    said = [variant.start for variant in variants(chosen)]
    assert said == [None, "scratch", "photos", "photos", "sketches", "sketches"]
    single = study(sources={"photos": "run-1"}, factors=SIZES, grid="one_at_a_time")
    assert [(v.name, v.start) for v in variants(single)] == [("baseline", None), ("photos", "photos"), ("3", "scratch")]
    assert found == [
        ("baseline", ""), ("scratch-3", "baseline"),
        ("photos-all", "baseline"), ("photos-3", "scratch-3"), ("sketches-all", "baseline"), ("sketches-3", "scratch-3"),
    ]  # fmt: skip
    starts = {
        cell.variant: (cell.config.model.init_from, cell.config.model.freeze, cell.config.train.transferred_rate)
        for cell in cells(chosen, values | {"model": values["model"] | {"init_from": "mine", "freeze": 2}})
    }
    scratch, photos, sketches = (None, 0, 1.0), ("run-1", 1, 0.1), ("run-2", 1, 0.1)
    assert starts == {
        "baseline": scratch, "photos-all": photos, "sketches-all": sketches,
        "scratch-3": scratch, "photos-3": photos, "sketches-3": sketches,
    }  # fmt: skip
    assert [variant.name for variant in variants(study(sources={"photos": "run-1"}))] == ["baseline", "photos"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"sources": {"scratch": "run-1"}},
            "sources.scratch: so are the runs called that start from none; choose another name",
        ),
        (
            {"sources": {"a": "run-1"}, "factors": {"start": {"x": {}, "y": {"train.epochs": 3}}}},
            "factors.start: the sources are the factor of this name; call yours otherwise",
        ),
        ({"sources": {"a": "run-1", "b": "run-1"}}, "variant b: the same as a; give it a difference or take it out"),
    ],
)
def test_sources_that_say_nothing_are_refused(values, keys, said):
    assert said in problems(study(**keys), values)


def published(digits, labels=None, **changes):
    """A run on the digits, finished; its name."""
    folder, model = run_to_end(digits, **changes)
    publish(
        folder, Path("artifacts/train"), model, digits.manifest, program_of(model, configs(**changes)[1], digits.manifest)[0]
    )
    return folder.id


@pytest.fixture
def project(tmp_path, monkeypatch):
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGATTA_RUNS", raising=False)
    return open_dataset(tmp_path / "artifacts" / "prepare")


def test_who_names_no_source_is_told_which_there_are_or_how_one_is_made(project, values):
    [line] = problems(study(sources={}, factors=SIZES), values)
    assert line == (
        "sources: names no run to start from; none here is of this network on other data, so make one (`regatta run "
        "data.path=OTHER`, then `regatta run data=digits` again), or take one from elsewhere (`cp -r THEIRS/artifacts/train "
        "runs/NAME`), and say study.sources.NAME=RUN"
    )
    own = {"model__widths": values["model"]["widths"], "train__epochs": 1}
    run_id = published(project, **own)
    assert "none here is of this network on other data" in problems(study(sources={}), values)[0], "it is on the same"
    described = Path("artifacts/prepare/dataset.json")
    described.write_text(described.read_text().replace('"digest": "d"', '"digest": "e"'))
    [line] = problems(study(sources={}), values)
    assert (
        line
        == f"sources: names no run to start from; say study.sources.NAME=RUN beside it, such as study.sources.other={run_id}"
    )
    other = values | {"model": values["model"] | {"widths": [7]}}
    assert "none here is of this network" in problems(study(sources={}), other)[0]
    Path("runs", run_id, "model.json").write_text("{")
    assert "none here is of this network" in problems(study(sources={}), values)[0], "one that is torn is not advised"


def test_a_source_is_said_as_any_run_is_and_named_where_it_is_none(project):
    run_id = published(project, train__epochs=1)
    for key in ("study.sources.photos", "study.definitions.transfer.sources.photos"):
        for word in (run_id[:12], f"runs/{run_id}", f"{Path.cwd()}/runs/{run_id}/"):
            assert said_from_root([f"{key}={word}"], Path.cwd()) == [f"{key}={run_id}"]
        with pytest.raises(ConfigError, match=rf"^{key} = nine: is no run of this project; `regatta runs` shows them$"):
            said_from_root([f"{key}=nine"], Path.cwd())
        with pytest.raises(
            ConfigError, match=rf"^{key} = \.\./b/runs/x: no run of this project.*`cp -r \.\./b/runs/x runs/NAME`"
        ):
            said_from_root([f"{key}=../b/runs/x"], Path.cwd())


def gains(source):
    """What the study finds of 3 samples of each class."""
    chosen = quick({}, seeds=3, sources={"digits": source}, factors=SIZES, baseline={"train.epochs": 10})
    outcomes = compute(planned_study(chosen), Processes(cores()))
    [found] = [v for v in effects("s", chosen, variants(chosen), outcomes)["variants"] if v["name"] == "digits-3"]
    assert found["against"] == "scratch-3"
    return found


def test_a_source_that_knows_the_task_helps_where_samples_are_few(project):
    found = gains(published(project, train__epochs=15))
    assert found["verdict"] == "helps"
    assert found["others"]["val_accuracy"]["interval"][0] > 0.05


def test_where_labels_are_drawn_a_source_does_not_help_and_negative_transfer_is_said(project):
    source = published(project, train__epochs=15)
    for split in ("train", "val"):
        path = project.path / split / "labels.npy"
        np.save(path, np.random.default_rng(0).permutation(np.load(path)))
    found = gains(source)
    assert found["verdict"] == "hurts"
    assert found["interval"][0] > 0
    assert found["others"]["val_accuracy"]["interval"][0] < 0.05


def test_a_source_that_does_not_fit_is_refused_once_with_all_variants_that_name_it(project):
    run_id = published(project, train__epochs=1)
    chosen = quick({}, sources={"wide": run_id}, factors=SIZES, baseline={"model.widths": [24]})
    with pytest.raises(ConfigError) as refused:
        planned_study(chosen)
    [line] = str(refused.value).splitlines()
    said = f"study s: variants wide-all, wide-3: model.init_from = {run_id}: another network than this one: "
    assert line.startswith(said)


def test_what_runs_side_by_side_is_said_with_whose_runs_they_are(project):
    chosen = quick({}, sources={"digits": published(project, train__epochs=1, model__widths=[16])}, factors=SIZES)
    todo = planned_study(chosen)
    variant_of = {own.run: cell.variant for cell, own in zip(todo.cells, todo.names, strict=True)}
    lines = list(groups(todo.jobs, variant_of))
    said = sorted(line[line.index("(") + 1 : line.index(")")] for line in lines)
    assert said == ["baseline", "digits-3", "digits-all", "scratch-3"], "alike but for their samples and start"
