"""A project with a network of its own: every command works with it, and notices when its code changes."""

import shutil
from pathlib import Path

import pytest
from commands_run import run

from pipeline.artifacts import read_json

TINY = ("study=none", "prepare.limit=300", "augment.views=1", "train.epochs=2", "train.batch_size=32", "tracking.mode=disabled")
MODULE = ("model=module", "model.name=cnn", "model.keys.width=4")
OWN = Path(__file__).resolve().parents[1] / "own_modules.py"


@pytest.mark.slow
def test_every_command_works_with_a_module(project, regatta, committed, dvc):
    shutil.copyfile(OWN, "extensions.py")
    committed("a network")
    said = regatta("run", *MODULE, *TINY)
    assert "evaluate: accuracy" in said
    model = read_json(Path("artifacts/train/model.json"))
    assert (model["format"], model["model"]["name"], model["model"]["keys"]) == (3, "cnn", {"width": 4})
    [folder] = Path("runs").glob("2*")
    assert (folder / "code" / "extensions.py").read_text() == OWN.read_text()
    assert "cnn" in regatta("runs")
    assert "gradient norms: stem.0.weight" in regatta("replay", folder.name, "--step=12")
    assert "cnn" in Path("artifacts/report/index.html").read_text()
    committed("run")

    Path("extensions.py").write_text(OWN.read_text() + "# a comment\n")
    assert "Nothing had to be run again" in regatta("run")
    assert len(list(Path("runs").glob("2*"))) == 1

    assert "train" in dvc("exp", "run", "--temp", "-S", "model.keys.width=5")
    assert read_json(Path("artifacts/train/model.json"))["model"]["keys"] == {"width": 4}

    Path("extensions.py").write_text(OWN.read_text().replace("width=4, drop=0.2", "width=4, drop=0.3"))
    refused = run(Path.cwd(), "-m", "pipeline.stages.evaluate", code=5)
    assert "model 'cnn' was trained with another extensions.py" in refused
    before = len(list(Path("runs").glob("2*")))
    regatta("run")
    assert len(list(Path("runs").glob("2*"))) == before + 1


@pytest.mark.slow
def test_two_workers_train_a_module_as_one_does(project, regatta):
    shutil.copyfile(OWN, "extensions.py")
    regatta("run", *MODULE, *TINY, "train.shards=2")
    assert regatta("verify", "cluster.workers=2").count("same bits  ") == 4


def test_an_import_that_no_stage_depends_on_is_refused(project):
    Path("nets.py").write_text("WIDTH = 4\n")
    Path("extensions.py").write_text("from nets import WIDTH\n")
    said = run(project, "-m", "pipeline.stages.code", code=2)
    assert "extensions.py: imports nets.py, which dvc.yaml does not name; add `- nets.py`" in said
    text = Path("dvc.yaml").read_text()
    Path("dvc.yaml").write_text(text.replace("      - extensions.py\n", "      - extensions.py\n      - nets.py\n", 1))
    run(project, "-m", "pipeline.stages.code")
    before = Path("artifacts/code/train").read_text(), Path("artifacts/code/evaluate").read_text()
    Path("nets.py").write_text("WIDTH = 5\n")
    run(project, "-m", "pipeline.stages.code")
    after = Path("artifacts/code/train").read_text(), Path("artifacts/code/evaluate").read_text()
    assert before[0] != after[0]
    assert before[1] == after[1], "evaluate reads what train has made of it"
