from __future__ import annotations

import os
import re
import resource
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.artifacts import held
from pipeline.commands.compose import change
from pipeline.commands.data import Link, linked
from pipeline.commands.run import LOCK
from pipeline.errors import BusyError, ConfigError, DataError, StorageError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder outside of the project."""
    folder = tmp_path / "elsewhere" / "my photos & more"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    return folder


def test_a_path_outside_becomes_a_link(project: Path, photos: Path) -> None:
    arguments, [link] = linked(["data=folder", f"data.path={photos}", "model.dropout=0.5"])
    assert arguments == ["data=folder", "data.path='data/my-photos-more'", "model.dropout=0.5"]
    assert link == Link(Path("data/my-photos-more"), photos)
    assert "not committed" in link.make()
    assert Path("data/my-photos-more/a.txt").read_text() == "a"
    assert linked([f"data.path={photos}"]) == (["data.path='data/my-photos-more'"], [])


def test_the_home_folder_is_understood(project: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photos.parent))
    _, [link] = linked(["data.train_path='~/my photos & more'"])
    assert link.target == photos


def test_a_relative_path_outside_becomes_a_link(project: Path, photos: Path) -> None:
    _, [link] = linked([f"data.test_path={os.path.relpath(photos)}"])
    assert link.target == photos


def test_a_path_inside_stays_and_is_made_relative(project: Path) -> None:
    assert linked(["data.path=data/x y", f"data.test_path={project}/data/it's"]) == (
        ["data.path='data/x y'", "data.test_path='data/it\\'s'"],
        [],
    )


def test_a_pattern_of_names_is_quoted(project: Path) -> None:
    quoted = "data.files='img_*/{} x.png'"
    assert linked(["data.files=img_*/{} x.png"]) == linked([quoted]) == ([quoted], [])
    new = change(["data=csv", "data.path=data/x", "data.files=train_images/{}.png"])
    assert new.values["data"]["files"] == "train_images/{}.png"
    assert linked(["data.files=null"]) == (["data.files=null"], [])


def test_a_path_that_is_not_there_is_refused(project: Path) -> None:
    with pytest.raises(DataError, match=r"data\.path=/nothing/here: there is no such file or folder"):
        linked(["data.path=/nothing/here"])


def test_a_name_that_leads_elsewhere_is_refused(project: Path, photos: Path) -> None:
    other = photos.parent / "other" / photos.name
    other.mkdir(parents=True)
    linked([f"data.path={photos}"])[1][0].make()
    with pytest.raises(ConfigError, match="regatta data link NAME"):
        linked([f"data.path={other}"])


def test_other_arguments_are_left_alone(project: Path) -> None:
    arguments = ["data.path=null", "~data.path", "data.label=path", "data=folder"]
    assert linked(arguments) == (arguments, [])


def test_link_by_name_and_link_again(project: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "link", "photos", str(photos)]) == 0
    assert f"data/photos -> {photos}" in capsys.readouterr().out
    assert cli.main(["data", "link", "photos", str(photos.parent)]) == 0
    assert Path("data/photos").resolve() == photos.parent


@pytest.mark.parametrize(("name", "code"), [("../x", 2), ("", 2), (".hidden", 2), ("there", 3)])
def test_names_that_can_be_no_link(project: Path, photos: Path, name: str, code: int) -> None:
    Path("data/there").mkdir()
    assert cli.main(["data", "link", name, str(photos)]) == code
    assert Path("data/there").is_dir()


def test_dvc_takes_data_that_lies_in_the_project(project: Path, regatta: object) -> None:
    Path("data/set").mkdir()
    Path("data/set/a.txt").write_text("a")
    assert callable(regatta)
    assert "commit data/set.dvc" in regatta("data", "add", "set")
    assert Path("data/set.dvc").exists()


def test_dvc_does_not_take_a_link_or_nothing(project: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "add", "nothing"]) == 3
    cli.main(["data", "link", "photos", str(photos)])
    capsys.readouterr()
    assert cli.main(["data", "add", "photos"]) == 3
    assert f"cp -r {photos} data/photos" in capsys.readouterr().err


def test_data_that_the_cache_does_not_take_are_not_said_to_be_kept(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("data/mine").mkdir()
    Path("data/mine/a.bin").write_bytes(os.urandom(5 * 2**20))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * 2**20, limits[1]))
    try:
        assert cli.main(["data", "add", "mine"]) == StorageError.exit_code
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = capfd.readouterr()
    assert re.search(r"regatta: \.dvc/cache/files/md5/\w\w: File too large; free space on that disk", said.err)
    assert "is kept" not in said.out
    assert not Path("data/mine.dvc").exists()


def test_what_a_run_may_be_reading_is_not_replaced(
    project: Path, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with held(LOCK):
        assert cli.main(["data", "link", "mine", str(photos)]) == 0, "a new link is nobody's"
        assert cli.main(["data", "link", "mine", str(photos)]) == 0
        assert cli.main(["data", "link", "mine", str(other)]) == BusyError.exit_code
        assert cli.main(["data", "add", "mine"]) == BusyError.exit_code
        assert f"held by process {os.getpid()} on" in capfd.readouterr().err
        assert Path("data/mine").resolve() == photos
    assert cli.main(["data", "link", "mine", str(other)]) == 0
    assert Path("data/mine").resolve() == other


def test_a_pretrained_networks_folder_becomes_a_link_and_takes_its_preset_along(project: Path, photos: Path) -> None:
    arguments, [link] = linked([f"model.backbone=hf:{photos}"])
    assert arguments == ["model.backbone=hf", "model.backbone_path='data/my-photos-more'", "preset=backbone"]
    assert link == Link(Path("data/my-photos-more"), photos)
    chosen = ["preset=images", "model.backbone=hf:data/vit"]
    assert linked(chosen) == (["preset=images", "model.backbone=hf", "model.backbone_path='data/vit'"], [])
    assert linked(["model.backbone=null"]) == (["model.backbone=null"], [])
    with pytest.raises(ConfigError, match=r"no folder is said; say model\.backbone=hf:FOLDER"):
        linked(["model.backbone=hf:"])
    with pytest.raises(ConfigError, match=r"^model\.backbone = hf:/nonesuch/vit: the folder is not there; make the link"):
        linked(["model.backbone=hf:/nonesuch/vit"])
    with pytest.raises(ConfigError, match="timm:resnet18: timm needs torchvision beside it, and is not read here"):
        linked(["model.backbone=timm:resnet18"])


@pytest.mark.parametrize("data", ["digits", "text", "folder", "audio"])
def test_a_pretrained_network_is_trained_as_such_whatever_the_data(project: Path, photos: Path, data: str) -> None:
    where = [] if data == "digits" else [f"data.path={photos}"]
    values = change([f"data={data}", *where, f"model.backbone=hf:{photos}"]).values
    assert (values["model"]["arch"], values["model"]["freeze"], values["train"]["factors"]) == ("backbone", "all", [])
    assert (values["augment"]["strength"], values["study"]["definitions"]) == (0.0, {})
