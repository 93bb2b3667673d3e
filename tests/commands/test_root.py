"""The commands in folders of the project: paths are said and shown from where the user stands."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipeline import cli
from pipeline.commands.root import find_root, path_from_root, run_said, said_from_root, seen_from
from pipeline.errors import ConfigError

Command = Callable[..., str]


@pytest.fixture
def photos(project: Path) -> Path:
    for i in range(40):
        place = project / "data" / "pets" / ("bright" if i % 2 else "dark") / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 6), 150 + i if i % 2 else i).save(place)
    return project / "data" / "pets"


def test_a_command_works_in_any_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project / "conf" / "model")
    assert cli.main(["compose"]) == 0
    said = capsys.readouterr()
    assert said.out == "params.yaml is what conf/ says\n"
    assert said.err == f"regatta: in {project}\n"


def test_the_innermost_project_is_taken(project: Path) -> None:
    inner = project / "data" / "other"
    (inner / "conf").mkdir(parents=True)
    for name in ("dvc.yaml", "conf/config.yaml"):
        shutil.copyfile(project / name, inner / name)
    assert find_root(inner / "conf") == inner
    assert find_root(inner.parent) == project


def test_data_is_said_from_where_the_user_stands(
    project: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photos.parent)
    assert cli.main(["run", "--dry-run", "data=folder", "data.path=pets", "study=none"]) == 0
    assert re.search(r"^data\.path: +3\.03 kB$", capsys.readouterr().out, re.MULTILINE)
    monkeypatch.chdir(photos.parent)
    assert cli.main(["run", "--dry-run", "data=folder", "data.path=data/pets", "study=none"]) == 3
    assert "data.path = data/data/pets: nothing there" in capsys.readouterr().err


def test_data_beside_the_project_becomes_a_link(
    project: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = photos.rename(project.parent / "my pets")
    monkeypatch.chdir(project / "data")
    assert cli.main(["data", "link", "pets", "../../my pets"]) == 0
    assert (project / "data" / "pets").readlink() == elsewhere
    monkeypatch.chdir(project / "conf")
    assert cli.main(["run", "--dry-run", "data=folder", "data.path='../../my pets'", "study=none"]) == 0
    assert f"would make data/my-pets -> {elsewhere}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("data.path=photos", "data.path=below/photos"),
        ("data.path='a b'", "data.path='below/a b'"),
        ("data.train_path=../photos", "data.train_path=photos"),
        ("data.test_path=../../photos", "data.test_path={above}/photos"),
        ("data.path={root}/photos", "data.path=photos"),
        ("data.path=/elsewhere/photos", "data.path=/elsewhere/photos"),
        ("data.path=~/photos", "data.path=~/photos"),
        ("data.path=null", "data.path=null"),
        ("cluster.token_path=token", "cluster.token_path=below/token"),
        ("data.path=path", "data.path=below/path"),
        ("data.size=8", "data.size=8"),
        ("model.init_from=null", "model.init_from=null"),
        ("~data.path", "~data.path"),
    ],
)
def test_overrides_that_say_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, meant: str) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"root": tmp_path, "above": tmp_path.parent}
    assert said_from_root([word.format(**places)], tmp_path / "below") == [meant.format(**places)]
    assert path_from_root("x", tmp_path) == Path("x")


def test_a_run_may_be_said_as_its_folder(project: Path) -> None:
    assert run_said("2026", project) == "2026"
    assert run_said("runs/2026-a/", project) == "2026-a"
    assert run_said("../runs/2026-a", project / "conf") == "2026-a"
    assert run_said(".", project / "runs" / "2026-a") == "2026-a"


def test_paths_are_shown_from_where_the_user_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert seen_from(tmp_path, Path("artifacts/report")) == "artifacts/report"
    assert seen_from(tmp_path / "conf" / "model", Path("artifacts/report")) == "../../artifacts/report"


def test_a_run_below_the_root_ends_with_a_path_from_there(
    trained: Path, regatta: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("conf/model")
    monkeypatch.setenv("PYTHONPATH", str(trained))
    said = regatta("run")
    assert f"regatta: in {trained}" in said
    assert "The report is ../../artifacts/report/index.html" in said


def test_a_folder_that_has_been_removed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("gone").mkdir()
    os.chdir("gone")
    Path("../gone").rmdir()
    assert cli.main(["runs"]) == 2
    assert "has been removed; cd to the clone" in capsys.readouterr().err


@pytest.mark.parametrize(
    "word",
    ["../runs/20261126-101500-3fa4c0de/", "20261126-101500-3fa4c0de", "20261126", "{root}/runs/20261126-101500-3fa4c0de"],
)
def test_a_run_to_start_from_by_its_folder_its_name_or_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGATTA_RUNS", raising=False)
    folder = tmp_path / "runs" / "20261126-101500-3fa4c0de"
    folder.mkdir(parents=True)
    for name in ("run.json", "model.json", "best.safetensors"):
        (folder / name).write_text('{"state": "finished"}')
    said = f"model.init_from={word.format(root=tmp_path)}"
    assert said_from_root([said], tmp_path / "below") == ["model.init_from=20261126-101500-3fa4c0de"]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        (
            "nonesuch",
            "model.init_from = nonesuch: is no run of this project; `regatta runs` shows them; there is none, leave",
        ),
        ("runs/nothere", "model.init_from = runs/nothere: is no run of this project; `regatta runs` shows them; there is none"),
        ("artifacts/train", "by `cp -r artifacts/train runs/NAME`"),
        ("/elsewhere/runs/20261126-101500-3fa4c0de", "no run of this project, which are in runs/"),
    ],
)
def test_what_is_no_run_to_start_from_is_refused_before_it_is_kept(
    project: Path, word: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (project / "conf" / "overrides.yaml").read_text()
    assert cli.main(["run", f"model.init_from={word}"]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert "'~" not in said, "nothing is kept that could be forgotten"
    assert (project / "conf" / "overrides.yaml").read_text() == before


def test_a_run_that_is_none_is_answered_with_those_to_start_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads over features are none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGATTA_RUNS", raising=False)
    backbones = {"26": None, "27": {"plan": {}}, "28": {"kept": "whole"}}
    for day, backbone in backbones.items():
        folder = Path(f"runs/202611{day}-101500-3fa4c0de")
        folder.mkdir(parents=True)
        (folder / "model.json").write_text(json.dumps({"backbone": backbone}))
        for name in ("run.json", "best.safetensors"):
            (folder / name).write_text('{"state": "finished"}')
    with pytest.raises(ConfigError, match=r"; choose one, such as 20261127-101500-3fa4c0de, 20261126-\S+, or leave it out$"):
        said_from_root(["model.init_from=runs/nothere"], tmp_path)
