from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from pipeline.artifacts import CODE, STAGES, load_tensors, read_csv, read_json
from pipeline.closure import import_closure
from pipeline.config import read_values
from pipeline.schema.model import LEFT_OUT
from pipeline.schema.reading import flat

Command = Callable[..., str]
ROOT = Path(__file__).resolve().parent.parent
DATA = {"data", "data.size"}
SECTIONS = {
    "prepare": DATA | {"prepare"},
    "augment": {"augment"},
    "train": {"cluster.reduce", "model", "train"},
    "evaluate": {"evaluate"},
    "study": DATA | {"augment", "model", "prepare", "study.definitions.${item.name}", "train"},
    "report": DATA | {"augment", "evaluate", "model", "prepare", "report", "study", "train"},
}
"""What a stage reads. A key named size by itself, too, since DVC's run cache hashes it only then."""


def pipeline() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    return found


def test_the_stages_are_those_of_the_house() -> None:
    assert tuple(pipeline()["stages"]) == (CODE, *STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_its_own_code_alone(stage: str) -> None:
    code = [dep for dep in pipeline()["stages"][stage]["deps"] if dep.startswith(("pipeline", "artifacts/code"))]
    assert code == [f"artifacts/code/{stage}"]


IMPORTED = """
import importlib, sys
for stage in sys.argv[1:]:
    for name in [name for name in sys.modules if name.split(".")[0] == "pipeline"]:
        del sys.modules[name]
    importlib.import_module(f"pipeline.stages.{stage}")
    print(stage, *(module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "pipeline"))
"""


def test_the_closure_of_a_stage_has_all_that_it_imports() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED, *STAGES], cwd=ROOT, capture_output=True, text=True, check=True)
    for stage, *files in map(str.split, done.stdout.splitlines()):
        loaded = {Path(file).relative_to(ROOT).as_posix() for file in files}
        assert f"pipeline/stages/{stage}.py" in loaded
        assert loaded <= set(import_closure(f"pipeline/stages/{stage}.py"))
    assert len(done.stdout.splitlines()) == len(STAGES)


def test_the_report_has_a_closure_with_its_templates(project: Path, dvc: Command) -> None:
    dvc("repro", "code")
    before = digests(Path("artifacts/code"))
    assert set(before) == set(STAGES)
    with Path("pipeline/report/report.css").open("a") as file:
        file.write("p { color: red }\n")
    dvc("repro", "code")
    assert {stage for stage, digest in digests(Path("artifacts/code")).items() if digest != before[stage]} == {"report"}


@pytest.mark.parametrize("stage", SECTIONS)
def test_a_stage_depends_on_the_sections_that_it_reads(stage: str) -> None:
    assert set(pipeline()["stages"][stage]["params"]) == SECTIONS[stage]


@pytest.mark.parametrize("stage", SECTIONS)
def test_no_parameter_has_keys_that_the_run_cache_leaves_out(stage: str) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    for param in pipeline()["stages"][stage]["params"]:
        node: Any = values
        for name in param.replace("${item.name}", "dropout").split("."):
            node = node[name]
        inner = [f"{param}.{key}" for key, _ in flat(node)] if isinstance(node, dict) else []
        left_out = [path for path in inner if set(path.split(".")) & set(LEFT_OUT)]
        assert set(left_out) <= set(pipeline()["stages"][stage]["params"]), "listed by itself"


def test_dvc_leaves_out_of_its_run_cache_what_is_known(tmp_path: Path) -> None:
    from dvc.stage.cache import _get_cache_hash

    assert set(LEFT_OUT) == {"size", "nfiles"}
    for name in (*LEFT_OUT, "other"):
        hashes = {_get_cache_hash({"params": {"data": {name: value}}}) for value in (1, 2)}
        assert len(hashes) == (1 if name in LEFT_OUT else 2), name
    by_itself = {_get_cache_hash({"params": {"data": {"size": value}, "data.size": value}}) for value in (1, 2)}
    assert len(by_itself) == 2


def test_no_stage_depends_on_where_records_are_mirrored() -> None:
    assert not any(param.startswith("tracking") for stage in pipeline()["stages"].values() for param in stage.get("params", []))


def test_dvc_calls_nobody() -> None:
    config = (ROOT / ".dvc" / "config").read_text()
    assert "analytics = false" in config
    assert "check_update = false" in config


# Real runs


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def prepared() -> dict[str, str]:
    return digests(Path("artifacts/prepare"))


def test_run_repro_and_exp_run_agree_after_overrides(
    project: Path, regatta: Command, dvc: Command, committed: Callable[[str], None], tmp_path: Path
) -> None:
    run_only_prepare(project)
    regatta("run", "prepare.limit=200", "model=cnn", "model.dropout=0.5")
    committed("overrides that stay")
    for name in ("repro", "exp"):
        shutil.copytree(project, tmp_path / name, symlinks=True)
    more = ["prepare.val_fraction=0.2", "augment=none", "train.seed=7", "model.widths=[8,4]"]
    regatta("run", *more)
    run = (read_values(), prepared())
    assert run[0] is not None
    assert (run[0]["prepare"]["limit"], run[0]["model"]["arch"], run[0]["model"]["dropout"]) == (200, "cnn", 0.5)
    assert (run[0]["train"]["seed"], run[0]["augment"]["views"], run[0]["model"]["widths"]) == (7, 0, [8, 4])

    os.chdir(tmp_path / "repro")
    shutil.copyfile(project / "params.yaml", "params.yaml")
    dvc("repro")
    assert (read_values(), prepared()) == run

    os.chdir(tmp_path / "exp")
    dvc("exp", "run", *(word for override in more for word in ("-S", override)))
    assert (read_values(), prepared()) == run
    body = (project / "params.yaml").read_text().partition("\n")[2]
    assert Path("params.yaml").read_text() == body
    assert "params.yaml was changed by hand or by `dvc exp run`" in regatta("compose", code=2)


def run_only_prepare(folder: Path) -> None:
    """Let the pipeline end with `prepare`, which is quick."""
    whole = yaml.safe_load((folder / "dvc.yaml").read_text())
    stages = {name: whole["stages"][name] for name in (CODE, "prepare")}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere" / "photos"
    for i in range(40):
        place = folder / ("bright" if i % 2 else "dark") / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 6), 150 + i if i % 2 else i).save(place)
    return folder


def test_a_photo_makes_prepare_stale_and_a_moved_folder_does_not(project: Path, photos: Path, regatta: Command) -> None:
    run_only_prepare(project)
    said = regatta("run", "data=folder", f"data.path={photos}", "data.size=6")
    assert f"data/photos -> {photos} (a link of this machine, not committed)" in said
    values = read_values()
    assert values is not None
    assert values["data"]["path"] == "data/photos"
    assert str(photos) not in Path("params.yaml").read_text() + Path("dvc.lock").read_text()

    moved = photos.rename(photos.with_name("moved"))
    assert "data.path = data/photos: nothing there; make the link with `regatta data link photos PATH`" in regatta(
        "run", code=3
    )
    regatta("data", "link", "photos", str(moved))
    assert "Nothing had to be run again." in regatta("run")

    Image.new("L", (6, 6), 77).save(moved / "dark" / "new.png")
    before = prepared()
    assert "Running stage 'prepare'" in regatta("run")
    assert prepared() != before


@pytest.mark.slow
def test_a_size_is_never_that_of_an_older_dataset(project: Path, photos: Path, regatta: Command) -> None:
    run_only_prepare(project)
    regatta("run", "data=folder", f"data.path={photos}", "data.enlarge=true", "data.size=21")
    for size in (22, [9, 8], 21):
        assert "prepare" in regatta("run", f"data.size={str(size).replace(' ', '')}")
        shape = read_json(Path("artifacts/prepare/dataset.json"))["shape"]
        assert shape[1:] == (size if isinstance(size, list) else [size, size])


def test_a_refused_dataset_leaves_the_one_before(project: Path, photos: Path, regatta: Command) -> None:
    run_only_prepare(project)
    regatta("run", "data=folder", f"data.path={photos}", "data.enlarge=true", "data.size=6")
    before = prepared()
    for file in list((photos / "dark").iterdir())[:10]:
        file.write_bytes(b"no image")
    said = regatta("run", "data.size=7", code=3)
    assert "prepare.max_bad_fraction = 0.05 allows 2" in said
    assert "artifacts/rejected.csv lists each of the 10 samples not taken, with its reason." in said
    assert [row["reason"] for row in read_csv(Path("artifacts/rejected.csv"))] == [
        "not an image of a format that can be read"
    ] * 10
    assert prepared() == before
    assert read_csv(Path("artifacts/prepare/rejected.csv")) == []
    assert "prepare" in regatta("run", "prepare.max_bad_fraction=0.5")
    assert read_json(Path("artifacts/prepare/dataset.json"))["shape"][1:] == [7, 7]
    assert len(read_csv(Path("artifacts/prepare/rejected.csv"))) == 10
    assert not Path("artifacts/rejected.csv").exists()


def test_given_splits_are_watched_one_by_one(project: Path, photos: Path, regatta: Command) -> None:
    run_only_prepare(project)
    test = photos.with_name("test")
    shutil.copytree(photos, test)
    for file in test.rglob("*.png"):
        Image.new("L", (6, 6), int(file.stem) + 60).save(file)
    regatta("run", "data=folder", f"data.train_path={photos}", f"data.test_path={test}", "data.size=6")
    lock = yaml.safe_load(Path("dvc.lock").read_text())["stages"]["prepare"]
    watched = {dep["path"] for dep in lock["deps"]}
    assert watched == {"artifacts/code/prepare", "conf/data/folder.yaml", "data/photos", "data/test"}
    Image.new("L", (6, 6), 1).save(test / "dark" / "new.png")
    assert "input data/test modified" in regatta("run", "--dry-run")


@pytest.mark.slow
def test_data_that_dvc_keeps_is_a_dependency_too(project: Path, photos: Path, regatta: Command, dvc: Command) -> None:
    run_only_prepare(project)
    shutil.copytree(photos, "data/photos")
    regatta("data", "add", "photos")
    regatta("run", "data=folder", "data.path=data/photos", "data.size=6")
    before = prepared()
    shutil.rmtree("data/photos")
    dvc("checkout", "data/photos.dvc")
    assert "Nothing had to be run again." in regatta("run")
    assert prepared() == before


def test_no_data_is_on_disk_twice(trained: Path, command: Command) -> None:
    # The fixture is a copy, in which one file with two names has become two files.
    shutil.rmtree("artifacts/prepare")
    shutil.rmtree("artifacts/train")
    command("restore", only_run())
    for path in (path for stage in ("prepare", "train") for path in Path("artifacts", stage).rglob("*") if path.is_file()):
        assert path.is_symlink() or path.stat().st_nlink > 1, f"{path} is on disk twice"
        assert not path.stat().st_mode & stat.S_IWUSR, f"{path} can be written to"


def test_no_cached_byte_is_ever_written_to(project: Path, regatta: Command) -> None:
    run_only_prepare(project)
    regatta("run", "prepare.limit=200")
    cached_bytes_survive(regatta, "prepare.split_seed=1")


@pytest.mark.slow
def test_no_cached_byte_is_ever_written_to_by_any_stage(trained: Path, regatta: Command) -> None:
    for stage in ("prepare", "train", "evaluate", "report"):
        shutil.rmtree(Path("artifacts", stage))
    regatta("restore", only_run())
    cached_bytes_survive(regatta, "prepare.split_seed=1", "train.epochs=3", "report.title=Another")


def cached_bytes_survive(regatta: Command, *overrides: str) -> None:
    cache = Path(".dvc/cache/files")
    before = digests(cache)
    assert before
    times = {name: (cache / name).stat().st_mtime_ns for name in before}
    assert "Running stage" in regatta("run", *overrides)
    assert {name: digest for name, digest in digests(cache).items() if name in before} == before
    assert {name: (cache / name).stat().st_mtime_ns for name in before} == times


def only_run() -> str:
    [run] = Path("runs").glob("2*")
    return run.name


def test_the_plots_page_opens_without_a_network(trained: Path, dvc: Command) -> None:
    dvc("plots", "show")
    page = Path("dvc_plots/index.html").read_text()
    assert "http" not in page
    sources = [part.partition('"')[0] for part in page.split('src="')[1:]]
    assert any("curves" in source for source in sources)
    assert all((Path("dvc_plots") / source).stat().st_size > 1000 for source in sources)


def test_metrics_are_shown(trained: Path, dvc: Command) -> None:
    assert "artifacts/evaluate/metrics.json" in dvc("metrics", "show")


def test_git_is_left_with_nothing_that_dvc_or_nobody_keeps(trained: Path) -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in listed if name.startswith(("artifacts/", "runs/", "data/"))] == [
        "artifacts/evaluate/metrics.json",
        "artifacts/study/.gitkeep",
        "artifacts/study/tiny/effects.json",
        "data/.gitkeep",
    ]
    assert {"params.yaml", "dvc.lock", "conf/overrides.yaml"} <= set(listed)


def test_an_edit_runs_the_stages_that_it_can_change_and_a_comment_none(trained: Path, regatta: Command, dvc: Command) -> None:
    assert dvc("status").strip() == "Data and pipelines are up to date."
    edit("pipeline/evaluation/thresholds.py", '\n\n# a remark\n"""And a text."""\n')
    said = regatta("run")
    assert ran(said) == ["code"]
    assert "Nothing had to be run again." in said
    edit("pipeline/evaluation/thresholds.py", "ADDED = 1\n")
    planned = regatta("run", "--dry-run")
    assert {line.split()[0] for line in planned.splitlines() if "would run: " in line} == {"code", "evaluate", "report"}
    assert "evaluate   would run: its code changed" in planned
    assert ran(regatta("run")) == ["code", "evaluate", "report"]
    assert dvc("status").strip() == "Data and pipelines are up to date."


def edit(file: str, more: str) -> None:
    with Path(file).open("a") as opened:
        opened.write(more)


def ran(said: str) -> list[str]:
    """The stages whose command DVC has started."""
    return re.findall(r"^Running stage '(.*)'", said, re.MULTILINE)


@pytest.mark.slow
def test_run_repro_and_exp_run_agree_on_every_artifact(
    trained: Path, regatta: Command, dvc: Command, committed: Callable[[str], None], tmp_path: Path
) -> None:
    for name in ("repro", "exp"):
        shutil.copytree(trained, tmp_path / name, symlinks=True)
    regatta("run", "model.dropout=0.5", "augment.views=2")
    found = {"run": (read_values(), weights_and_data())}

    os.chdir(tmp_path / "repro")
    shutil.copyfile(trained / "params.yaml", "params.yaml")
    dvc("repro")
    found["repro"] = (read_values(), weights_and_data())

    os.chdir(tmp_path / "exp")
    dvc("exp", "run", "-S", "model.dropout=0.5", "-S", "augment.views=2")
    found["exp"] = (read_values(), weights_and_data())
    assert found["run"] == found["repro"] == found["exp"]


def weights_and_data() -> dict[str, Any]:
    """The weights, and all files that carry neither a time nor the name of the run."""
    whole = digests(Path("artifacts"))
    weights, _ = load_tensors(Path("artifacts/train/best.safetensors"))
    changing = ("run.json", "model.json", "metrics.jsonl", "augment.json", "metrics.json", "effects.json")
    changing = ("best.safetensors", "cells.parquet", "curves.parquet", *changing)
    same = {name: digest for name, digest in whole.items() if not name.endswith(changing)}
    same = {name: digest for name, digest in same.items() if not name.startswith(("report/", "."))}
    return same | {name: array.tobytes() for name, array in weights.items()}
