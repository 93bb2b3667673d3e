"""`regatta study`: added beside others, only what is missing is run, a clone goes on from what it pulled."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline.artifacts import read_json, write_json
from pipeline.commands.compose import apply, change
from pipeline.commands.run import clear_old_studies, left_alone
from pipeline.commands.study import dry_run, listed, planned_change, predicts_else, with_study
from pipeline.config import read_values
from pipeline.errors import ConfigError
from pipeline.overrides import Overrides
from pipeline.study.tables import results_of


def params():
    return yaml.safe_load(Path("params.yaml").read_text())


def effects(name):
    return json.loads(Path(f"artifacts/study/{name}/effects.json").read_text())


def runs_of(said):
    """Of "study NAME: 6 runs, 4 of them known already, ..."."""
    [line] = [line for line in said.splitlines() if "of them known already" in line]
    words = line.split()
    return int(words[2]), int(words[4])


def test_a_study_is_added_run_once_and_left_alone_by_run(trained, regatta):
    said = regatta("study", "dropout", "study.seeds=2")
    assert runs_of(said) == (4, 0)
    assert "study dropout: Answer: 2 of the 3 seeds that a verdict needs: dropout 0.2 against none: validation loss " in said
    assert sorted(params()["study"]["definitions"]) == ["dropout", "tiny"]
    assert params()["study"]["on_run"] == ["tiny"]
    assert Path("artifacts/report/index.html").read_text().count("too few seeds") >= 2
    again = regatta("study", "dropout")
    assert "Nothing had to be run again" in again
    assert "study dropout: A verdict needs 3 seeds, and 8 say more: regatta study dropout study.seeds=8" in again
    said = regatta("run", "train.learning_rate=0.01")
    assert "Running stage 'study@tiny'" in said
    assert "Running stage 'study@dropout'" not in said
    assert "made with other settings" in Path("artifacts/report/index.html").read_text()


@pytest.mark.slow
def test_a_clone_that_pulls_computes_only_a_new_seed(trained, regatta, dvc, committed, tmp_path, monkeypatch):
    regatta("study", "dropout", "study.seeds=2")
    dvc("remote", "add", "-d", "shared", str(tmp_path / "remote"))
    committed("two studies")
    dvc("push", "-q")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(trained), str(clone)], check=True)
    monkeypatch.chdir(clone)
    shutil.copytree(trained / "data", clone / "data", dirs_exist_ok=True, symlinks=True)
    dvc("pull", "-q")
    assert Path("artifacts/study/tiny/cells.parquet").exists(), "both studies survive"
    assert runs_of(regatta("study", "dropout", "study.seeds=3")) == (6, 4)
    assert not Path("artifacts/study/dropout/cells.parquet").is_symlink()
    assert effects("dropout")["seeds"] == [0, 1, 2]
    assert params()["study"]["definitions"]["tiny"]["seeds"] == 2


def test_a_study_taken_out_of_a_clone_that_has_pulled_it_loses_no_result(trained):
    before = results_of(*(Path("artifacts/study/tiny") / name for name in ("cells.parquet", "curves.parquet")))
    shutil.rmtree("runs/cells", ignore_errors=True)  # a clone that has pulled has none
    values = read_values()
    values["study"]["definitions"] = {}
    [line] = clear_old_studies(values)
    assert line.endswith(f"its {len(before)} results are kept in runs/cells")
    kept = {file.stem: read_json(file) for file in Path("runs/cells").glob("*.json")}
    assert kept == {name: result.to_json() for name, result in before.items()}
    assert len(before) > 0


def test_the_plan_says_runs_groups_memory_and_changes_nothing(trained, command):
    before = Path("params.yaml").read_bytes()
    said = command("study", "regularisation", "--dry-run", "study.seeds=3", "train.epochs=4", "train.warmup_epochs=1.0")
    assert "8 variants (baseline, none-few, dropout-all" in said
    assert "24 runs, 0 of them known already" in said
    assert "side by side: 16-10 relu, batch 32, 30 epochs" in said
    assert "expected time:" in said
    assert Path("params.yaml").read_bytes() == before


def test_the_studies_are_listed_with_their_questions(trained, command):
    said = command("study")
    assert "activations      not chosen           Which activation learns" in said
    assert "tiny             has results          Does it?" in said
    assert "2 of the 3 seeds that a verdict needs" in said


def test_an_unknown_study_and_wrong_keys_are_refused(trained, command):
    assert "there is no conf/study/dropuot.yaml; allowed: activations" in command("study", "dropuot", code=2)
    said = command("study", "dropout", "study.seeds=0", code=2)
    assert "study.definitions.dropout.seeds = 0" in said
    assert "study.definitions.dropout.marign" in command("study", "dropout", "study.definitions.dropout.marign=1", code=2)


def test_an_added_study_keeps_what_was_set_for_others(project):
    before = Overrides({"study": "dropout"}, {"study": {"definitions": {"dropout": {"seeds": 5}}}})
    after = with_study(before, before, "epochs")
    assert after.files == {"study": ["dropout", "epochs"]}
    assert after.values["study"] == {"on_run": ["dropout"], "definitions": {"dropout": {"seeds": 5}}}
    assert with_study(after, after, "epochs") == after
    with pytest.raises(ConfigError, match="did you mean epochs"):
        with_study(after, after, "epoch")


@pytest.mark.parametrize("file", ["data=table", "data=text", "data=audio", "data=folder", "preset=images", "preset=photos"])
def test_a_study_is_added_to_data_that_take_none_along(project, file):
    (project / "data" / "mine").mkdir(parents=True)
    apply(change([file, *(["data.path=data/mine"] if file.startswith("data=") else [])]), force=False)
    assert read_values()["study"]["definitions"] == {}
    new = planned_change("learning-rate", ["study.seeds=2"])
    assert list(new.values["study"]["definitions"]) == ["learning-rate"], "and no study that nobody asked for"
    assert new.values["study"]["definitions"]["learning-rate"]["seeds"] == 2
    assert new.values["study"]["on_run"] == []
    assert next(dry_run("learning-rate", new)) == f"study learning-rate: {question('learning-rate')}"
    apply(new, force=False)
    assert list(read_values()["study"]["definitions"]) == ["learning-rate"]


def test_the_list_says_which_studies_can_not_run_on_the_network_and_why(project):
    apply(change(["data=text", "data.path=data/mine"]), force=False)
    lines = list(listed())
    refused = {lines[i - 1].split()[0]: lines[i].strip() for i in range(len(lines)) if "can't run on" in lines[i]}
    assert refused.keys() == {"activations", "audio-augmentation", "transfer"}
    assert refused["transfer"].startswith("can't run on what is configured now: sources: names no run to start from; none here")
    assert refused["activations"].startswith("can't run on what is configured now: baseline: model.widths = [64, 64]: a module")


def question(name):
    return yaml.safe_load(Path(f"conf/study/{name}.yaml").read_text())["definitions"][name]["question"]


@pytest.mark.parametrize(
    ("model", "said"),
    [({}, False), ({"classes": ["a", "c"]}, True), ({"task": "multi"}, True), ({"classes": [], "targets": ["price"]}, True)],
)
def test_a_model_of_other_answers_has_no_page_with_a_study(tmp_path, monkeypatch, model, said):
    monkeypatch.chdir(tmp_path)
    data = {"task": "single", "classes": ["a", "b"], "targets": []}
    for stage, name, values in (("prepare", "dataset.json", data), ("train", "model.json", data | model)):
        (tmp_path / "artifacts" / stage).mkdir(parents=True)
        write_json(tmp_path / "artifacts" / stage / name, values)
    assert predicts_else() == said


def test_studies_that_run_leaves_alone():
    study = {"definitions": {"a": {}, "b": {}}}
    assert left_alone({"study": study | {"on_run": None}}) == []
    assert left_alone({"study": study | {"on_run": ["b"]}}) == ["study@a"]
