"""Names of files in tables as other systems write them: each finds its file, or a reason and a command say why not."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_samples import encoded, picture, placed, rejected, write_table

from pipeline.data.dataset import Dataset
from pipeline.errors import ConfigError, DataError

Build = Callable[..., Dataset]
LENIENT = {"max_bad_fraction": 0.9}
OTHER_MACHINE = "C:\\Users\\me\\pets\\"


def put(root: Path, *names: str) -> Path:
    """A picture under each name, different ones."""
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encoded(picture(i)))
    return root


def numbered(pattern: str, num: int = 30) -> list[str]:
    return [pattern.format(i) for i in range(num)]


def table(root: Path, cells: Sequence[str], name: str = "train.csv") -> str:
    rows = [["image", "label"], *([cell, "ab"[i % 2]] for i, cell in enumerate(cells))]
    return str(write_table(root / name, rows))


def refusal(build: Build, path: str, **data: Any) -> str:
    with pytest.raises(DataError) as error:
        build("csv", path=path, **data)
    return str(error.value).replace(str(Path(path).parent), "D")


def commands(message: str) -> list[str]:
    """The values of data.files that a refusal proposes, and ~ for none, with what it says of them."""
    found = re.findall(r"^  regatta run (.*)   # (.*)$", message, re.MULTILINE)
    return [f"{shlex.split(words)[0].removeprefix('data.files=')}: {meaning}" for words, meaning in found]


def notes_on_names(dataset: Dataset) -> list[str]:
    return [note for note in dataset.manifest.notes if " file names " in note]


# --- Spellings


def test_separators_of_windows(tmp_path: Path, build: Build) -> None:
    put(tmp_path, *numbered("img/sub/{}.png"))
    dataset = build("csv", path=table(tmp_path, [*numbered("img\\sub\\{}.png", 29), "img/sub/29.png"]))
    assert set(placed(dataset)) == set(numbered("img/sub/{}.png"))
    [note] = notes_on_names(dataset)
    assert note == (
        "train.csv: 29 of 30 (96.7 %) file names have Windows' separators (\\), taken as / (img\\sub\\0.png is img/sub/0.png)"
    )


def test_a_backslash_in_a_name_is_taken_as_it_is_or_refused(tmp_path: Path, build: Build) -> None:
    put(tmp_path, *numbered("{}\\x.png"), "0/x.png")
    dataset = build("csv", LENIENT, path=table(tmp_path, numbered("{}\\x.png")))
    assert rejected(dataset) == {"0\\x.png:2": "may mean 0\\x.png or 0/x.png"}
    assert set(placed(dataset)) == set(numbered("{}\\x.png")[1:])
    assert notes_on_names(dataset) == []


@pytest.mark.parametrize(("in_table", "on_disk"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_accents_composed_on_one_side_alone(tmp_path: Path, build: Build, in_table: Any, on_disk: Any) -> None:
    names = numbered("Käse/é{}.png")
    put(tmp_path, *(unicodedata.normalize(on_disk, name) for name in names))
    dataset = build("csv", path=table(tmp_path, [unicodedata.normalize(in_table, name) for name in names]))
    assert set(placed(dataset)) == {unicodedata.normalize(on_disk, name) for name in names}
    [note] = notes_on_names(dataset)
    assert note.startswith("train.csv: 30 of 30 (100 %) file names write accents in other characters than the files' names")


def test_accents_that_may_mean_two_files(tmp_path: Path, build: Build) -> None:
    composed, decomposed = ("\u1e69.png", "s\u0323\u0307.png")
    put(tmp_path, *numbered("{}.png"), composed, decomposed)
    dataset = build("csv", LENIENT, path=table(tmp_path, [*numbered("{}.png"), "\u1e63\u0307.png", decomposed]))
    assert list(rejected(dataset).values()) == [f"may mean {decomposed} or {composed}, which differ in accents alone"]
    assert decomposed in placed(dataset)


def test_capitals(tmp_path: Path, build: Build) -> None:
    put(tmp_path, *numbered("img/{}.jpg"))
    dataset = build("csv", path=table(tmp_path, numbered("Img/{}.JPG")))
    assert set(placed(dataset)) == set(numbered("img/{}.jpg"))
    [note] = notes_on_names(dataset)
    assert note == (
        "train.csv: 30 of 30 (100 %) file names differ from the files' names in capitals alone, taken as the same "
        "(Img/0.JPG is img/0.jpg)"
    )


def test_capitals_that_may_mean_two_files(tmp_path: Path, build: Build) -> None:
    put(tmp_path, *numbered("{}.png"), "a.png", "A.png", "b.png", "c.png")
    cells = [*numbered("{}.png"), "a.PNG", "A.png", "b.png", "B.png", "C.png", "C.PNG"]
    dataset = build("csv", LENIENT, path=table(tmp_path, cells))
    assert rejected(dataset) == {
        "a.PNG:32": "may mean A.png or a.png, which differ in capitals alone",
        "B.png:35": "B.png and b.png would both be the file b.png",
        "C.png:36": "C.png and C.PNG would both be the file c.png",
        "C.PNG:37": "C.png and C.PNG would both be the file c.png",
    }
    assert {"A.png", "b.png"} <= set(placed(dataset))


def test_blanks_dots_and_urls_of_files(tmp_path: Path, build: Build) -> None:
    put(tmp_path, *numbered("{}.png"), "a b.png")
    urls = [f"file://{tmp_path}/28.png", f"file://localhost{tmp_path}/29.png", f"file://{tmp_path}/a%20b.png"]
    dataset = build("csv", path=table(tmp_path, [*numbered("./{}.png ", 14), *numbered(" {}.png\t", 28)[14:], *urls]))
    assert set(placed(dataset)) == {*numbered("{}.png"), "a b.png"}
    assert notes_on_names(dataset) == []


def test_urls_are_not_read(tmp_path: Path, build: Build) -> None:
    put(tmp_path, *numbered("{}.png"))
    said = refusal(
        build, table(tmp_path, [*numbered("https://example.org/{}.png", 3), "s3://bucket/1.png", "file://host/1.png"])
    )
    assert "3 x a URL (https://), and only files are read: download them into the folder of the table: https://ex" in said
    assert "1 x a URL (s3://)" in said
    assert "1 x a URL (file://)" in said


# --- data.files


def test_ids_without_folder_and_suffix(tmp_path: Path, build: Build) -> None:
    put(tmp_path, *numbered("train_images/id{}.png"))
    path = table(tmp_path, numbered("id{}"))
    said = refusal(build, path)
    assert (
        "30 of 30 (100 %) files that train.csv names are not in D (looked for id0, id1, id2, ...). Files of these names are "
        "there elsewhere; say this:\n  regatta run 'data.files=train_images/{}.png'   # finds 30 of 30\n"
    ) in said
    assert commands(refusal(build, path, files="images/{}.png")) == ["train_images/{}.png: finds 30 of 30"]
    dataset = build("csv", path=path, files="train_images/{}.png")
    assert set(placed(dataset)) == set(numbered("train_images/id{}.png"))


def test_a_pattern_holds_for_given_splits_too(tmp_path: Path, build: Build) -> None:
    put(tmp_path, *numbered("img/{}.png", 40))
    train = table(tmp_path, numbered("{}", 30))
    test = table(tmp_path, numbered("{}", 40)[30:], "test.csv")
    dataset = build("csv", train_path=train, test_path=test, files="img/{}.png")
    assert {name for name, split in placed(dataset).items() if split == "test"} == set(numbered("test/img/{}.png", 40)[30:])
    with pytest.raises(DataError) as error:
        build("csv", train_path=train, test_path=test)
    assert commands(str(error.value)) == ["img/{}.png: finds 30 of 30", "img/{}.png: finds 10 of 10"]


def test_one_star_for_several_folders(tmp_path: Path, build: Build) -> None:
    names = [f"part_{i % 3}/images/{i}.jpg" for i in range(30)]
    put(tmp_path, *names)
    path = table(tmp_path, numbered("{}"))
    assert commands(refusal(build, path))[0] == "part_*/images/{}.jpg: finds 30 of 30"
    assert set(placed(build("csv", path=path, files="part_*/images/{}.jpg"))) == set(names)
    (tmp_path / "part_2/images/0.jpg").write_bytes(encoded(picture(0)))
    assert "1 x may mean part_0/images/0.jpg or part_2/images/0.jpg: 0:2" in refusal(build, path, files="part_*/images/{}.jpg")
    said = refusal(build, path, files="none_*/{}.jpg")
    assert "(looked for none_*/{}.jpg (no folder is named so), " in said


def test_files_with_a_suffix_in_other_folders(tmp_path: Path, build: Build) -> None:
    put(tmp_path, *numbered("a/deep/{}.png"))
    path = table(tmp_path, numbered("deep\\{}.png"))
    assert commands(refusal(build, path)) == ["a/{}: finds 30 of 30"]
    assert set(placed(build("csv", path=path, files="a/{}"))) == set(numbered("a/deep/{}.png"))
    put(tmp_path, *numbered("b/deep/{}.png"))
    assert sorted(commands(refusal(build, path))) == ["a/{}: finds 30 of 30", "b/{}: finds 30 of 30"]


def test_names_that_are_nowhere(tmp_path: Path, build: Build) -> None:
    put(tmp_path, "img/x.png")
    said = refusal(build, table(tmp_path, numbered("{}.png")))
    assert (
        "30 of 30 (100 %) files that train.csv names are not in D (looked for 0.png, 1.png, 2.png, ...). It holds 1 file that "
        "may be a sample, such as img/x.png; put these files there, or give as data.path the folder that holds both"
    ) in said


def test_a_pattern_that_is_not_needed(tmp_path: Path, build: Build) -> None:
    put(tmp_path, *numbered("img/{}.png"))
    assert commands(refusal(build, table(tmp_path, numbered("img/{}.png")), files="img/{}")) == ["~data.files: finds 30 of 30"]


# --- Absolute paths of another machine


@pytest.mark.parametrize("folder", ["pets/img", "img", "."])
def test_the_end_of_a_path_of_another_machine(tmp_path: Path, build: Build, folder: str) -> None:
    put(tmp_path, *numbered(folder + "/{}.png"))
    dataset = build("csv", path=table(tmp_path, numbered(OTHER_MACHINE.replace("\\", "\\") + "img\\{}.png")))
    names = [name.removeprefix("./") for name in numbered(folder + "/{}.png")]
    assert set(placed(dataset)) == set(names)
    assert notes_on_names(dataset)[-1] == (
        "train.csv: 30 of 30 (100 %) file names are absolute paths of another machine, whose ends are files here "
        f"(C:\\Users\\me\\pets\\img\\0.png is {names[0]})"
    )


def test_ends_go_on_below_what_all_paths_share(tmp_path: Path, build: Build) -> None:
    names = [f"img/{'ab'[i % 2]}/{i}.png" for i in range(30)]
    put(tmp_path, *names)
    cells = [f"/home/me/pets/{name}" for name in names]
    dataset = build("csv", LENIENT, path=table(tmp_path, [*cells, "/home/me/pets/img/a/gone.png"]))
    assert set(placed(dataset)) == set(names)
    assert rejected(dataset) == {
        "/home/me/pets/img/a/gone.png:32": "an absolute path of another machine, all of which begin with /home/me/pets/img/"
    }


def test_ends_that_may_mean_two_files_are_refused(tmp_path: Path, build: Build) -> None:
    put(tmp_path, *numbered("img/{}.png"), *numbered("{}.png"))
    path = table(tmp_path, numbered(OTHER_MACHINE + "img\\{}.png"))
    said = refusal(build, path)
    assert (
        "30 x an absolute path of another machine, all of which begin with C:\\Users\\me\\pets\\img\\: C:\\Users\\me\\pets\\img"
    ) in said
    assert sorted(commands(said)) == ["img/{}: finds 30 of 30", "{}: finds 30 of 30"]
    assert set(placed(build("csv", path=path, files="img/{}"))) == set(numbered("img/{}.png"))
    assert set(placed(build("csv", path=path, files="{}"))) == set(numbered("{}.png"))


def test_paths_of_several_machines(tmp_path: Path, build: Build) -> None:
    put(tmp_path, *numbered("pictures/{}.png"))
    path = table(tmp_path, [*numbered("C:\\a\\{}.png", 15), *numbered("/Users/b/{}.png")[15:]])
    said = refusal(build, path)
    assert "30 x an absolute path of another machine: C:\\a\\0.png:2" in said
    assert commands(said) == ["pictures/{}: finds 30 of 30"]
    dataset = build("csv", path=path, files="pictures/{}")
    assert set(placed(dataset)) == set(numbered("pictures/{}.png"))
    assert "are absolute paths of another machine, of which data.files takes the last part" in notes_on_names(dataset)[0]


def test_last_parts_that_are_the_same(tmp_path: Path, build: Build) -> None:
    put(tmp_path, *numbered("img/{}.png"))
    path = table(tmp_path, [*numbered("C:\\a\\{}.png"), "C:\\b\\0.png"])
    reasons = rejected(build("csv", LENIENT, path=path, files="img/{}"))
    assert set(reasons.values()) == {"C:\\a\\0.png and C:\\b\\0.png would both be the file img/0.png"}
    assert len(reasons) == 2


# --- Parquet


@pytest.mark.parametrize("structs", [False, True])
def test_names_in_parquet(tmp_path: Path, build: Build, structs: bool) -> None:
    put(tmp_path, *numbered("img/id{}.png"))

    def written(cells: list[str]) -> str:
        images: list[Any] = [{"bytes": None, "path": cell} for cell in cells] if structs else list(cells)
        pq.write_table(pa.table({"image": images, "label": ["a", "b"] * 15}), tmp_path / "t.parquet")
        return str(tmp_path / "t.parquet")

    dataset = build("parquet", path=written(numbered("img\\id{}.PNG ")))
    assert set(placed(dataset)) == set(numbered("img/id{}.png"))
    assert [note.split(" file names ")[0] for note in notes_on_names(dataset)] == ["t.parquet: 30 of 30 (100 %)"] * 2
    path = written(numbered("id{}"))
    with pytest.raises(DataError) as error:
        build("parquet", path=path)
    assert commands(str(error.value)) == ["img/{}.png: finds 30 of 30"]
    assert set(placed(build("parquet", path=path, files="img/{}.png"))) == set(numbered("img/id{}.png"))


def test_numbers_as_ids_in_parquet(tmp_path: Path, build: Build) -> None:
    put(tmp_path, *numbered("img/{}.png"))
    pq.write_table(pa.table({"image": list(range(30)), "label": ["a", "b"] * 15}), tmp_path / "t.parquet")
    with pytest.raises(DataError) as error:
        build("parquet", path=str(tmp_path / "t.parquet"))
    assert commands(str(error.value)) == ["img/{}.png: finds 30 of 30"]
    dataset = build("parquet", path=str(tmp_path / "t.parquet"), files="img/{}.png")
    assert set(placed(dataset)) == set(numbered("img/{}.png"))


def test_a_pattern_needs_names(tmp_path: Path, build: Build) -> None:
    images = [encoded(picture(i)) for i in range(30)]
    pq.write_table(pa.table({"image": images, "label": ["a", "b"] * 15}), tmp_path / "t.parquet")
    with pytest.raises(ConfigError, match="column 'image' holds the samples themselves, no names of files"):
        build("parquet", path=str(tmp_path / "t.parquet"), files="{}.png")
