from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_samples import class_folders, encoded, write_table
from PIL import Image

from pipeline import cli
from pipeline.commands.compose import Change, apply, change
from pipeline.errors import ConfigError
from pipeline.overrides import Overrides, write_overrides


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


def texts(root: Path, name: str, column: str = "text", label: str = "label") -> Path:
    rows = [[f"some words that are of the class {i % 2}", f"c{i % 2}"] for i in range(8)]
    return write_table(root / f"{name}.csv", [[column, label], *rows])


def numbers(root: Path, name: str = "plain") -> Path:
    return write_table(root / f"{name}.csv", [["size", "colour", "label"], *([str(i), "red", f"c{i % 2}"] for i in range(8))])


def test_a_kept_kind_gives_way_where_it_cannot_read_the_data(project: Path, tmp_path: Path) -> None:
    apply(change([f"data.path={texts(tmp_path, 'a')}", "data.text=text"]), force=False)
    new = change([f"data.path={numbers(tmp_path)}"])
    assert (chosen(new), new.values["data"]["kind"]) == ("table", "table")
    assert chosen(change([f"data.path={texts(tmp_path, 'b')}"])) == "text"


def test_kept_columns_give_way_to_those_of_the_new_data(project: Path, tmp_path: Path) -> None:
    first = texts(tmp_path, "a", "message", "topic")
    apply(change([f"data.path={first}", "data.label=topic"]), force=False)
    again = change([f"data.path={first}"])
    assert (again.values["data"]["label"], again.recognised) == ("topic", [])
    new = change([f"data.path={texts(tmp_path, 'b', 'post', 'kind')}", "data.label=kind"])
    assert (new.values["data"]["text"], new.values["data"]["label"]) == ("post", "kind")
    assert new.recognised == [f"data.text=message: forgot, since data.path={tmp_path}/b.csv has no such column; data.text=post"]
    plain = change([f"data.path={texts(tmp_path, 'c')}"])
    assert (plain.values["data"]["text"], plain.values["data"]["label"]) == ("text", "label")
    with pytest.raises(ConfigError, match="which column is the label is not said"):
        change([f"data.path={texts(tmp_path, 'd', 'text', 'sort')}"])


def test_kept_keys_of_another_kind_are_forgotten_and_it_is_said(project: Path, tmp_path: Path) -> None:
    apply(
        change([f"data.path={texts(tmp_path, 'a')}", "augment.delete=0.1", "model.keys.width=64", "train.epochs=3"]),
        force=False,
    )
    before = (project / "conf/overrides.yaml").read_text()
    new = change([f"data.path={numbers(tmp_path)}"])
    assert new.notes[-2:] == [
        "augment.delete=0.1: forgot, set for other data; it does not fit data of the kind table",
        "model.keys.width=64: forgot, set for other data; it does not fit data of the kind table",
    ]
    assert new.overrides.values.keys() == {"data", "train"}
    with pytest.raises(ConfigError, match=r"augment.delete: unknown key"):
        change([f"data.path={numbers(tmp_path)}", "augment.delete=0.2"])
    assert (project / "conf/overrides.yaml").read_text() == before, "nothing is forgotten before it is applied"


def test_what_is_kept_and_in_the_way_is_named_with_the_way_out(project: Path) -> None:
    write_overrides(Overrides({}, {"augment": {"delete": 0.1}}))
    with pytest.raises(
        ConfigError, match=r"unknown key .*; it is kept in conf/overrides.yaml: .*`regatta run '~augment.delete'`"
    ):
        change(["train.epochs=3"])
    assert change(["~augment.delete"]).overrides.values == {}


def test_all_that_is_in_the_way_of_numbers_is_named_at_once(project: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", [["size", "label"], *([str(i), str(i / 7)] for i in range(40))])
    apply(change([f"data.path={table}", "train.monitor=val_macro_f1", "train.balance=weights"]), force=False)
    with pytest.raises(ConfigError, match=r"'~train.monitor'(.|\n)*'~train.balance'"):
        change(["data.target=number"])


def many_small(path: Path) -> Path:
    """A Parquet file of 10,000 pictures of 9 x 7."""
    pictures = [encoded(Image.new("RGB", (9, 7), (i, 0, 0))) for i in range(100)] * 100
    pq.write_table(pa.table({"image": pictures, "label": [i % 2 for i in range(len(pictures))]}), path)
    return path


def test_many_small_images_take_the_network_that_suits_them_unless_somebody_has_said_one(project: Path, tmp_path: Path) -> None:
    path = many_small(tmp_path / "many.parquet")
    for words in (["data=parquet"], [], ["data=parquet", "train.epochs=3"]):
        new = change([f"data.path={path}", *words])
        assert new.recognised[-1] == (
            f"{path}: 10,000 images or more of about 9 pixels a side, so preset=images; another preset or model beside it "
            "overrules that"
        )
        assert (new.values["model"]["name"], new.values["train"]["batch_size"]) == ("airbench", 256)
    for words in (["model=dnn"], ["preset=none"]):
        new = change([f"data.path={path}", "data=parquet", *words])
        assert (new.recognised, new.values["model"]["arch"]) == ([], "dnn")
    new = change([f"data.path={path}", "data=parquet", "model.dropout=0.5"])
    assert new.recognised == [
        f"{path}: 10,000 images or more of about 9 pixels a side, which preset=images suits; left out beside model.dropout: "
        "say it, too, to have it"
    ]
    assert new.values["model"]["arch"] == "dnn"
    apply(change([f"data.path={path}"]), force=False)
    assert "preset: images" in Path("conf/overrides.yaml").read_text()
    assert change([f"data.path={path}"]).values["model"]["name"] == "airbench", "it is kept, as if it had been said"


def test_photos_in_parquet_take_what_photos_in_a_folder_take(project: Path, tmp_path: Path) -> None:
    pictures = [encoded(Image.new("RGB", (90, 60), (i, 0, 0))) for i in range(30)]
    pq.write_table(pa.table({"image": pictures, "label": [i % 2 for i in range(30)]}), tmp_path / "photos.parquet")
    new = change([f"data.path={tmp_path}/photos.parquet"])
    assert "30 images of about 90 pixels a side, so preset=few-photos data.size=64 data.channels=rgb;" in new.recognised[-1]
    assert (new.values["model"]["channels"], new.values["data"]["size"]) == ([32, 64, 128, 128], 64)
    new = change([f"data.path={tmp_path}/photos.parquet", "data=parquet", "data.size=32"])
    assert (new.values["model"]["channels"], new.values["data"]["size"]) == ([32, 64, 128, 128], 32)
