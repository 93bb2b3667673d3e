from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from data_samples import class_folders

from pipeline import cli

Command = Callable[..., str]


def call(*words: str) -> int:
    return cli.main(("inspect", *words))


def state(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Every file and link below a folder, but for what DVC and W&B keep for themselves and the sheets."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.startswith((".git/", "runs/inspect")) or name == "runs":
            continue
        if path.is_symlink():
            found[name] = 0, os.readlink(path)
        elif path.is_file():
            found[name] = path.stat().st_mtime_ns, path.read_bytes()
    return found


def test_it_tells_what_prepare_would_see_and_changes_nothing(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = class_folders(tmp_path / "photos", 20, ("cat", "dog"))
    (photos / "cat" / "bad.png").write_bytes(b"no")
    before = state(project)
    assert call(str(photos), "data=folder") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "kind       image (data.source=folder)",
        "samples    41 (all looked into, 16 of them decoded)",
        "           1 of 41 (2.44 %) can't be taken",
    ]
    assert "classes    2 classes (cat: 21, dog: 20)" in lines
    assert "contents   width x height: 8 x 8: 40" in lines
    assert "not taken  1 x not an image of a format that can be read: cat/bad.png" in lines
    assert lines[-1] == "The sheet is runs/inspect/photos.html"
    sheet = (project / "runs" / "inspect" / "photos.html").read_text()
    assert sheet.count('<img src="data:image/png;base64,') == 16
    assert sheet.count("<h2>cat</h2>") == 1
    assert "cat: 21, dog: 20" in sheet
    assert state(project) == before
    assert not (project / "data" / "photos").is_symlink()


def test_without_data_it_is_of_the_data_in_force(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--sheet", str(tmp_path / "out" / "s.html"), "prepare.limit=100") == 0
    said = capsys.readouterr().out
    assert "samples    1,797 (all looked into, 80 of them decoded)" in said
    assert "prepare.limit took 100 of 1797 (5.56 %) samples" in said
    assert (tmp_path / "out" / "s.html").is_file()
    assert not (project / "runs" / "inspect").exists()


def test_what_prepare_would_refuse_is_told_whole_and_ends_as_that_would(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class_folders(tmp_path / "photos", 20)
    (tmp_path / "photos" / "cat" / "bad.png").write_bytes(b"no")
    assert call(str(tmp_path / "photos"), "data=folder", "prepare.max_bad_fraction=0") == 3
    said = capsys.readouterr()
    assert "classes    2 classes (cat: 21, dog: 20)" in said.out
    assert "regatta: prepare would stop: 1 of 41 (2.44 %) samples can't be taken" in said.err


def test_mistakes_on_the_command_line_are_said(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("a", "b") == 2
    assert "a and b: one DATA at a time" in capsys.readouterr().err
    assert call(str(tmp_path / "none"), "data=folder") == 3
    assert "there is no such file or folder" in capsys.readouterr().err
    class_folders(tmp_path / "photos", 3)
    assert call(str(tmp_path / "photos"), "data=folder", "--sheet", str(tmp_path)) == 2
    assert "a folder; name the file" in capsys.readouterr().err


def test_data_is_named_from_where_the_user_stands(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class_folders(project / "data" / "own", 5)
    monkeypatch.chdir(project / "data")
    assert call("own", "data=folder", "--sheet=s.html") == 0
    assert "The sheet is s.html" in capsys.readouterr().out
    assert (project / "data" / "s.html").is_file()
