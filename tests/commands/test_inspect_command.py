from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from data_samples import class_folders
from table_samples import write_lines

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
    assert "prepare.limit took 100 of 1,797 (5.56 %) samples" in said
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


def penguins(folder: Path, num: int = 60) -> Path:
    rows = [f"{'ab'[i % 2]},{i / 7:.3f},{'xyz'[i % 3]},owner{i % 6}" for i in range(num)]
    return write_lines(folder / "t.csv", "species,size,island,owner", rows)


def test_commands_go_on_from_what_was_said(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = penguins(tmp_path)
    assert call(str(table)) == 2
    assert capsys.readouterr().err.endswith(f"\n  regatta inspect {table} data.label=COLUMN\n")
    assert call(str(table), "data.label=specie") == 3
    assert f"\n  regatta inspect {table} data.label=species   # the nearest name" in capsys.readouterr().err
    assert call(str(table), "data.label=species") == 0
    assert f"regatta inspect {table} data.label=species data.group=owner" in capsys.readouterr().out


def test_keys_that_it_does_not_read_are_no_matter(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "conf" / "overrides.yaml").write_text("study:\n  folds: 5\ndata:\n  time: when\n")
    assert cli.main(("run", "--dry-run", "data=csv", "data.path=data")) == 2, "a run can't do with them"
    capsys.readouterr()
    (project / "conf" / "overrides.yaml").write_text("study:\n  folds: 1\n")
    assert call(str(penguins(tmp_path)), "data.label=species") == 0
    capsys.readouterr()
    assert call(str(tmp_path / "t.csv"), "data.label=species", "train.epochs=many") == 2
    assert "train.epochs = 'many'" in capsys.readouterr().err
    assert call(str(tmp_path / "t.csv"), "data.label=species", "data.rare=0") == 2
    assert "data.rare = 0" in capsys.readouterr().err


def test_all_cells_of_a_table_are_looked_into(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = penguins(tmp_path, 200)
    lines = table.read_text().splitlines()
    lines[150] = "a,inf,x,owner1"
    table.write_text("\n".join(lines))
    assert call(str(table), "data.label=species") == 0
    said = capsys.readouterr().out
    assert "samples    200 (all looked into and decoded)\n           1 of 200 (0.5 %) can't be taken" in said
    assert "not taken  1 x column 'size' says 'inf', no finite number, and the column is of numbers: t.csv:151" in said
    assert call(str(table), "data.label=species", "prepare.max_bad_fraction=0") == 3
    told = capsys.readouterr().err
    assert "prepare would stop: 1 of 200 (0.5 %) samples can't be taken; prepare.max_bad_fraction = 0.0 allows 0\n" in told
    assert "says 'inf'" not in told, "it is said above"
    assert told.endswith(f"regatta inspect {table} data.label=species prepare.max_bad_fraction=0.005\n")


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
