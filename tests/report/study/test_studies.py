"""What the page knows of studies: curves, staleness."""

import numpy as np
import pytest
import report_builder as rb

from pipeline.artifacts import read_json
from pipeline.errors import StorageError
from pipeline.report.study.studies import baseline_changes, changes, studies
from pipeline.schema.train import NOT_IDENTITY

DEFINITION = {"question": "?", "finding": None, "margin": None, "variants": {"a": {"model.dropout": 0.0}}}
SECTIONS = {"prepare": {"limit": None}, "augment": {"rotate": 10.0}, "model": {"widths": [8]},
            "train": {"epochs": 5, "learning_rate": 0.1, "device": "auto"}}  # fmt: skip
BASIS = {**SECTIONS, "study": DEFINITION, "dataset": "d"}


@pytest.fixture
def project(tmp_path):
    rb.write_project(tmp_path)
    rb.write_study(tmp_path / "artifacts" / "study")
    return tmp_path


def changed(definition=DEFINITION, dataset="d", own=(), **sections):
    params = {name: {**values, **sections.get(name, {})} for name, values in SECTIONS.items()}
    return changes(BASIS, params, definition, dataset, dict.fromkeys(own))


def test_what_has_changed_is_named_with_both_values():
    assert changed() == []
    assert changed(train={"learning_rate": 0.2}, model={"widths": [8, 8]}) == [
        "model.widths [8] \u2192 [8, 8]",
        "train.learning_rate 0.1 \u2192 0.2",
    ]
    assert changed(train={"momentum": 0.9}) == ["train.momentum null \u2192 0.9"]
    assert changed(dataset="e") == ["other data"]
    assert changed({**DEFINITION, "variants": {"a": {"model.dropout": 0.5}}}) == [
        "study.variants.a.model.dropout 0.0 \u2192 0.5"
    ]


def test_what_changes_no_result_is_not_named():
    assert changed(train={"epochs": 7}, own=["train.epochs"]) == [], "the study says its own"
    assert changed(train=dict.fromkeys(NOT_IDENTITY, "other")) == [], "no part of a run's identity"
    assert changed(train={"device": "cuda", "threads": 2, "callbacks": ["rates"], "learning_rate": 0.1}) == []
    assert changed({key: value for key, value in DEFINITION.items() if value is not None}) == [], "a key left out is null"


def test_many_changes_are_cut_short():
    found = changed(train={f"key{i}": i for i in range(9)})
    assert len(found) == 7
    assert found[-1] == "and 3 more"


def test_curves_are_those_of_the_runs_that_did_not_fail(project):
    (study,) = studies(project, rb.DATASET)
    assert study.stale == []
    assert list(study.runs) == ["baseline", "no-dropout", "no-augment", "wide", "tanh"]
    assert study.runs["wide"].val_loss.shape == (5, 12)
    assert study.runs["tanh"].val_loss.shape == (4, 12), "without the failed seed"
    assert study.runs["wide"].layers == ["dense1", "dense2", "output"]
    assert study.runs["tanh"].norms[0, 0] == pytest.approx(0.5**3 * 1.3)
    assert np.isfinite(study.runs["wide"].norms).all()
    assert study.means("train_loss")[0] == study.effects["baseline"]["others"]["train_loss"]["mean"]
    assert study.means("val_loss")[1] == study.effects["variants"][0]["mean"]
    assert study.means("nothing") == [None] * 5


def test_the_baseline_is_what_the_definition_says_of_it():
    levels = {"depth": {"2": {"model.widths": [8, 8]}, "6": {"model.widths": [8] * 6}}}
    effects = {"baseline": {"changes": {}}, "basis": {"study": {"baseline": {"train.epochs": 5}, "factors": levels}}}
    assert baseline_changes(effects) == {"train.epochs": 5, "model.widths": [8, 8]}
    assert baseline_changes({**effects, "basis": {"study": {}}}) == {}


def test_gradients_are_read_where_they_are_the_question(project):
    rb.write_study(project / "artifacts" / "study", "plain", variants=rb.DROPOUT_VARIANTS[:1])
    assert [s.runs["baseline"].layers != [] for s in studies(project, rb.DATASET)] == [True, False]


def test_studies_come_in_the_order_of_their_definition_then_those_without_one(project):
    rb.write_study(project / "artifacts" / "study", "a-former", variants=rb.DROPOUT_VARIANTS[:1])
    text = (project / "params.yaml").read_text().replace("definitions:", "definitions:\n    z-next: {question: Next}")
    (project / "params.yaml").write_text(text)
    found = studies(project, rb.DATASET)
    assert [(s.name, s.effects is None, s.defined) for s in found] == [
        ("z-next", True, True), ("dropout", False, True), ("a-former", False, False),
    ]  # fmt: skip


def test_a_torn_table_is_named(project):
    (project / "artifacts/study/dropout/curves.parquet").write_bytes(b"PAR1")
    with pytest.raises(StorageError, match=r"curves\.parquet: .*regatta study dropout"):
        studies(project, rb.DATASET)


def test_the_builder_writes_what_the_stage_writes(project):
    effects = read_json(project / "artifacts/study/dropout/effects.json")
    assert effects["sentences"]
    assert set(effects["basis"]) == {"study", "model", "train", "augment", "prepare", "dataset"}
