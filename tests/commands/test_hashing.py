from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.commands.data import Link, add, is_there
from pipeline.commands.hashing import check_hashable
from pipeline.commands.project import Project
from pipeline.errors import DataError

NOBODY = 65534


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may read anything, so that the rights of a file are seen as another user."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes, in a current folder that every user may enter."""
    (tmp_path / "open" / "photos").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "open")
    for name in ("cat", "dog"):
        Path("photos", name).mkdir()
        Path("photos", name, "1.png").write_bytes(b"x")
    return Path("photos")


def refused(path: Path) -> str:
    with unprivileged(), pytest.raises(DataError) as error:
        check_hashable("data.path = photos", path)
    return str(error.value)


def test_what_dvc_can_hash_is_taken(photos: Path) -> None:
    (photos / "cat" / "gone.png").symlink_to("nowhere.png")
    (photos / "cat" / "self.png").symlink_to("self.png")
    os.mkfifo(photos / "cat" / "pipe", 0o000)
    (photos / "k\u00e4se \u732b").mkdir()
    (photos / "lost+found").mkdir(mode=0o000)
    with unprivileged():
        check_hashable("data.path = photos", photos)
        check_hashable("data.path = photos", photos / "cat" / "1.png")
    shutil.rmtree(photos)


def test_files_without_the_right_to_read_are_named(photos: Path) -> None:
    (photos / "dog" / "1.png").chmod(0o000)
    (photos / "dog" / "2.png").write_bytes(b"x")
    (photos / "dog" / "2.png").chmod(0o200)
    assert refused(photos) == (
        "data.path = photos: dog/1.png and 1 more: no right to read; give it to yourself with `chmod -R u+rX photos/`, "
        "or move such files and folders away"
    )
    assert refused(photos / "dog" / "1.png").startswith("data.path = photos: 1.png: no right to read")


def test_folders_without_the_right_to_read_are_named(photos: Path) -> None:
    (photos / "cat").chmod(0o000)
    assert refused(photos).startswith("data.path = photos: cat: no right to read")
    (photos / "cat").chmod(0o700)


def test_names_that_are_not_utf8_are_named(photos: Path) -> None:
    os.rename(photos / "cat", os.path.join(os.fsencode(photos), b"K\xe4se"))
    os.rename(photos / "dog" / "1.png", os.path.join(os.fsencode(photos), b"dog", b"\xff.png"))
    assert refused(photos) == (
        "data.path = photos: K\\xe4se/1.png and 1 more: not a name in UTF-8, which DVC needs; rename such files and folders, "
        "for example with `convmv -r -f latin1 -t utf8 --notest photos/` if they are in Latin-1"
    )


def test_a_link_to_a_folder_is_not_followed(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o000)
    (photos / "cat" / "more").symlink_to(tmp_path / "elsewhere")
    with unprivileged():
        check_hashable("data.path = photos", photos)


def test_dvc_hashes_what_is_there_and_sees_when_a_link_leads_somewhere(photos: Path, dvc: Callable[..., str]) -> None:
    """DVC fails on a link that leads nowhere, and waits for ever for a pipe."""
    (photos / "cat" / "gone.png").symlink_to("late.png")
    (photos / "cat" / "self.png").symlink_to("self.png")
    os.mkfifo(photos / "cat" / "pipe.png")
    dvc("init", "--no-scm")
    Path("dvc.yaml").write_text("stages:\n  prepare:\n    cmd: 'true'\n    deps: [photos]\n")
    assert [stage.addressing for stage in reproduced()] == ["prepare"]
    assert reproduced() == []
    (photos / "cat" / "late.png").write_bytes(b"y")
    with Project() as repo:
        assert "photos" in str(repo.status())


def test_data_that_dvc_can_not_hash_is_not_added(project: Path) -> None:
    Path("data/food", os.fsdecode(b"K\xe4se")).mkdir(parents=True)
    Path("data/food", os.fsdecode(b"K\xe4se"), "1.png").touch()
    with pytest.raises(DataError, match=r"^data/food: K.xe4se/1.png: not a name in UTF-8"):
        add("food")


def reproduced() -> list[object]:
    with Project() as repo:
        return list(repo.reproduce())


def test_the_name_of_the_datas_own_folder_may_be_any(photos: Path) -> None:
    """DVC knows it by the link in data/ alone."""
    named = Path(os.fsdecode(b"f\xfcnf"))
    photos.rename(named)
    check_hashable("data.path = photos", named)
    assert str(Link(Path("data/f-nf"), named)) == "data/f-nf -> f\\xfcnf"


def test_a_place_that_may_not_be_looked_into(photos: Path) -> None:
    photos.chmod(0o000)
    with unprivileged(), pytest.raises(DataError, match=r"^data.path: no right to look into .*/photos, or into a folder above"):
        is_there(photos / "cat", "data.path")
    photos.chmod(0o700)
    assert is_there(photos / "cat", "data.path")
    assert not is_there(photos / "cow", "data.path")
