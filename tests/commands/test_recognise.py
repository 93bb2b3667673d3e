from __future__ import annotations

from pathlib import Path

import pytest
from data_samples import class_folders, write_table

from pipeline import cli
from pipeline.commands.compose import Change, apply, change
from pipeline.errors import ConfigError


def photos(root: Path, name: str = "photos") -> Path:
    return class_folders(root / name, 3)


def listed(root: Path) -> Path:
    """Class folders with a table of their images beside them."""
    write_table(photos(root, "listed") / "list.csv", [["image", "label"], ["cat/0.png", "cat"], ["dog/0.png", "dog"]])
    return root / "listed"


def chosen(new: Change) -> str | None:
    return new.overrides.files.get("data")


def test_data_are_recognised_and_it_is_said(project: Path, tmp_path: Path) -> None:
    new = change([f"data.path={photos(tmp_path)}"])
    assert chosen(new) == "folder"
    assert new.recognised == [
        f"data.path={tmp_path}/photos: images in class folders, so data=folder; another data=... beside it overrules that"
    ]
    assert new.values["data"]["source"] == "folder"
    assert new.values["model"]["arch"] == "cnn", "with the preset of data=folder"
    assert not (project / "data" / "photos").is_symlink(), "nothing is written before it is applied"


def test_who_says_what_the_data_are_is_obeyed(project: Path, tmp_path: Path) -> None:
    new = change([f"data.path={listed(tmp_path)}", "data=csv"])
    assert (chosen(new), new.recognised) == ("csv", [])
    new = change([f"data.train_path={photos(tmp_path)}"])
    assert chosen(new) == "folder"


def test_what_was_chosen_before_stays_where_it_can_read_the_data(project: Path, tmp_path: Path) -> None:
    apply(change([f"data.path={listed(tmp_path)}", "data=csv"]), force=False)
    other = change([f"data.path={photos(tmp_path)}"])
    assert chosen(other) == "folder"
    assert other.recognised
    again = change(["data.path=data/listed", "model.dropout=0.5"])
    assert (chosen(again), again.recognised) == ("csv", []), "it lists images in class folders, and was chosen"
    assert change(["model.dropout=0.5"]).recognised == []


def test_embedded_digits_give_way(project: Path, tmp_path: Path) -> None:
    apply(change(["data=digits"]), force=False)
    assert chosen(change([f"data.path={photos(tmp_path)}"])) == "folder"


def test_a_label_is_asked_for(project: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    photos(tmp_path)
    table = write_table(tmp_path / "t.csv", [["image", "kind"], ["photos/cat/0.png", "cat"], ["photos/dog/0.png", "dog"]])
    with pytest.raises(
        ConfigError, match=r"it has 2 columns \(image, kind\). Name it:\n  regatta run data.path=/\S+/t.csv data.label=COLUMN"
    ):
        change([f"data.path={table}"])
    new = change([f"data.path={table}", "data.label=kind"])
    assert (chosen(new), new.values["data"]["label"]) == ("csv", "kind")
    apply(new, force=False)
    assert change(["data.path=data/t.csv"]).values["data"]["label"] == "kind", "as it was named"


def test_the_column_of_images_is_named_unless_somebody_does(project: Path, tmp_path: Path) -> None:
    photos(tmp_path)
    table = write_table(tmp_path / "t.csv", [["a file", "label"], ["photos/cat/0.png", "cat"], ["photos/dog/0.png", "dog"]])
    assert change([f"data.path={table}"]).values["data"]["image"] == "a file"
    assert change([f"data.path={table}", "data.image=label", "data.label='a file'"]).values["data"]["image"] == "label"


def test_a_dry_run_says_it(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--dry-run", f"data.path={photos(tmp_path)}"]) == 0
    said = capsys.readouterr().out
    assert "images in class folders, so data=folder; another data=..." in said
    assert "data=folder takes model=photos" in said
    assert "would make data/photos -> " in said
