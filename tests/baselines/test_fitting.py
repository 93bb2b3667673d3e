"""A dataset's baselines: fitted once for its data and code, the better one on validation, the same bytes every time."""

import numpy as np
import pytest
from data_samples import data_config, prepare_config

from pipeline import artifacts
from pipeline.baselines import fitting
from pipeline.baselines.measured import against_baselines, in_words
from pipeline.closure import import_closure
from pipeline.data.dataset import open_dataset
from pipeline.prepare.build import build_dataset


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    build_dataset(data_config("digits"), prepare_config(limit=600), folder, "code", 1)
    return open_dataset(folder)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGATTA_RUNS", raising=False)
    return tmp_path


def test_the_better_one_on_validation_answers_and_is_kept(digits, here, monkeypatch):
    found = fitting.fitted_baselines(digits)
    truth = np.asarray(digits.split("test").labels)
    assert [one.name for one in found.candidates] == ["pixels", "hog"]
    assert found.chosen.val == max(one.val for one in found.candidates)
    assert found.chosen.whole
    assert found.chosen.num_rows == digits.manifest.counts["train"]
    assert (found.answers == truth).mean() > 0.85
    assert len(list((here / "runs" / "baselines").iterdir())) == 1
    monkeypatch.setattr(fitting, "_fitted", None)  # would fail: what is kept is not computed again
    again = fitting.fitted_baselines(digits)
    assert (again.chosen, again.candidates) == (found.chosen, found.candidates)
    assert (again.answers == found.answers).all()


def test_the_same_bytes_every_time(digits, here, monkeypatch):
    files = []
    for name in ("a", "b"):
        monkeypatch.setenv("REGATTA_RUNS", str(here / name))
        fitting.fitted_baselines(digits)
        files += list((here / name / "baselines").iterdir())
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_network_is_compared_on_the_same_samples(digits, here):
    truth = np.asarray(digits.split("test").labels)
    perfect, fitted = against_baselines(digits, truth), fitting.fitted_baselines(digits)
    errors = int((fitted.answers != truth).sum())
    assert perfect["difference"] == pytest.approx(errors / len(truth))
    assert perfect["p"] == pytest.approx(min(1.0, 2 * 0.5**errors))
    assert perfect["network_score"] == 1.0
    frequent = np.bincount(np.asarray(digits.split("train").labels)).argmax()
    assert perfect["trivial_score"] == pytest.approx((truth == frequent).mean())
    assert perfect["tried"] == {one.words: one.val for one in fitted.candidates}
    same, worst = against_baselines(digits, fitted.answers), against_baselines(digits, (truth + 1) % 10)
    assert (same["difference"], same["better"], worst["better"]) == (0.0, "neither", "baseline")
    assert in_words(same).count("no evidence that the network is better") == 1
    assert "logistic regression on" in in_words(worst)
    assert in_words(worst).endswith(f"{perfect['trivial_score']:.4f}")


def test_where_there_is_no_baseline_the_trivial_answer_is_alone(digits, here, monkeypatch):
    monkeypatch.setattr(fitting, "baselines_of", lambda kind: None)
    found = against_baselines(digits, np.asarray(digits.split("test").labels))
    assert found["name"] is None
    assert set(found) == {"measure", "trivial", "trivial_score", "name"}
    assert in_words(found).startswith("this kind of data has no baseline; always '")
    assert not artifacts.runs_root().exists()


def test_an_edit_of_baselines_runs_evaluate_again_and_no_training():
    files = {stage: import_closure(f"pipeline/stages/{stage}.py", "image") for stage in artifacts.STAGES}
    for own in ("pipeline/baselines/methods.py", "pipeline/kinds/image/baselines.py", "pipeline/kinds/baselines.py"):
        assert [stage for stage, closure in files.items() if own in closure] == ["evaluate"]
    assert "pipeline/kinds/table/baselines.py" not in files["evaluate"]
