"""A project with a network of its own: every command works with it, and notices when its code changes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from commands_run import run
from own_backbones import written
from series_samples import OWN as OWN_KIND
from series_samples import write_series

from pipeline.artifacts import read_json, read_parquet
from pipeline.runs.record import MODEL_FORMAT

TINY = ("study=none", "prepare.limit=300", "augment.views=1", "train.epochs=2", "train.batch_size=32", "tracking.mode=disabled")
MODULE = ("model=module", "model.name=cnn", "model.keys.width=4")
OWN = Path(__file__).resolve().parents[1] / "own_modules.py"
OWN_BACKBONES = OWN.with_name("own_backbones.py")


@pytest.mark.slow
def test_every_command_works_with_a_module(project, regatta, committed, dvc):
    shutil.copyfile(OWN, "extensions.py")
    committed("a network")
    said = regatta("run", *MODULE, *TINY)
    assert "evaluate: accuracy" in said
    model = read_json(Path("artifacts/train/model.json"))
    assert (model["format"], model["model"]["name"], model["model"]["keys"]) == (MODEL_FORMAT, "cnn", {"width": 4})
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
    assert "evaluate: accuracy" in run(Path.cwd(), "-m", "pipeline.stages.evaluate"), "by the code that came along"
    before = len(list(Path("runs").glob("2*")))
    regatta("run")
    assert len(list(Path("runs").glob("2*"))) == before + 1


@pytest.mark.slow
def test_two_workers_train_a_module_as_one_does(project, regatta):
    shutil.copyfile(OWN, "extensions.py")
    regatta("run", *MODULE, *TINY, "train.shards=2")
    assert regatta("verify", "cluster.workers=2").count("same bits  ") == 4


@pytest.mark.slow
def test_a_pretrained_network_of_ones_own_goes_all_the_way(project, regatta, committed):
    shutil.copyfile(OWN_BACKBONES, "extensions.py")
    committed("a pretrained network")
    file = written("small", (1, 8, 8), project.parent / "small.safetensors")
    said = regatta("run", f"model.backbone=small:{file}", *TINY, "augment.strength=1.0")
    assert "features: small in data/small.safetensors makes 12 features of a sample, once" in said
    assert "evaluate: accuracy" in said
    assert {path.name for path in Path("artifacts/train").iterdir()} >= {"backbone", "code", "best.safetensors", "model.json"}
    assert "The network is in ../out/model.pt2" in regatta("export", "--format", "torch", "--out", "../out")
    said = regatta("run", "model.freeze=1", "augment.views=0", "train.shards=2")
    assert "starts from the weights of data/small.safetensors" in said
    assert regatta("verify", "cluster.workers=2").count("same bits  ") == 4
    assert "The network is in ../tuned/model.pt2" in regatta("export", "--format", "torch", "--out", "../tuned")
    assert "evaluate: accuracy" in regatta("run", "preset=none", "model=dnn")


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


KIND = """# @package _global_
defaults:
  - /data/base@data
  - override /augment: series
  - override /study: none
  - _self_
data: {{kind: series, source: parquet, series: series, window: {window}, even: {even}}}
"""
POLICY = "{{seed: 0, views: {views}, strength: 1.0, scale: 0.2, cut: 0.3}}\n"
ALL = ("data=series", "tracking.mode=disabled", "train.epochs=3", "train.batch_size=30")


@pytest.fixture
def of_series(project, tmp_path, committed):
    """A project with a kind of its own, and its configuration."""

    def make(window, even, views):
        shutil.copyfile(OWN_KIND, "extensions.py")
        Path("conf/data/series.yaml").write_text(KIND.format(window=window, even=even))
        Path("conf/augment/series.yaml").write_text(POLICY.format(views=views))
        committed("a kind")
        return f"data.path={write_series(tmp_path / 'series.parquet', 200)}"

    return make


@pytest.mark.slow
def test_series_of_which_a_sample_owns_windows_go_all_the_way(of_series, regatta):
    """Stored views, a module, a study, two workers one of which is lost; evaluation and page count samples."""
    place = of_series(8, "false", 2)
    study = "+study.definitions.width={question: Wide?, variants: {wide: {model.keys.width: 12}}, seeds: 2}"
    module = ("model=module", "model.name=pooled", "model.keys.width=8", "train.shards=2")
    said = regatta("run", *ALL, place, *module, study)
    assert "as 1 to 4 rows of 1 to 8 items of float32" in said
    num = read_json(Path("artifacts/prepare/dataset.json"))["counts"]
    assert f"augment: 2 augmented copies of {num['train']} training series" in said
    metrics = read_json(Path("artifacts/evaluate/metrics.json"))
    assert metrics["num_samples"] == num["test"]
    predicted = read_parquet(Path("artifacts/evaluate/predictions.parquet"), ["id"])["id"].to_pylist()
    assert predicted == np.load("artifacts/prepare/test/ids.npy").tolist()
    effects = read_json(Path("artifacts/study/width/effects.json"))
    assert [(own["name"], own["num_seeds"]) for own in effects["variants"]] == [("wide", 2)]
    assert "stored as 1 to 4 rows of 1 to 8 items" in Path("artifacts/report/index.html").read_text()
    [folder] = Path("runs").glob("2*")
    assert "gradient norms: first.weight" in regatta("replay", folder.name, "--step=4")
    assert regatta("verify", "cluster.workers=2").count("same bits  ") == 4


@pytest.mark.slow
def test_a_plain_kind_of_ones_own_goes_all_the_way_with_a_built_in_network(of_series, regatta):
    place = of_series("null", "true", 0)
    said = regatta("run", *ALL, place, "model.widths=[8]")
    assert "as 29 float32" in said
    assert "augment.views = 0; each batch draws its own copies" in said
    assert "evaluate: accuracy" in said
    assert regatta("verify", "cluster.workers=2", "train.shards=2").count("same bits  ") == 4
