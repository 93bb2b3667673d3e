from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_samples import encoded, picture, placed, rejected

from pipeline.data.dataset import Dataset
from pipeline.errors import DataError
from pipeline.prepare.sources import parquet

Build = Callable[..., Dataset]
LENIENT = {"max_bad_fraction": 0.9}
NUM = 40
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(path: Path, image: Any, label: Any, metadata: dict[str, Any] | None = None, **more: Any) -> Path:
    table = pa.table({"image": image, "label": label, **more})
    if metadata:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": metadata}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=7)
    return path


def pictures(start: int = 0, num: int = NUM) -> list[bytes]:
    return [encoded(picture(i)) for i in range(start, start + num)]


def labels(num: int = NUM) -> list[int]:
    return [i % 2 for i in range(num)]


def check_pixels(dataset: Dataset, grey: bool = False) -> None:
    part = dataset.split("train")
    for pixels, label, name in zip(part.inputs, part.labels, dataset.sources("train"), strict=True):
        number = int(name.rpartition(":")[2])
        assert (pixels.transpose(1, 2, 0) == np.asarray(picture(number))[..., : 1 if grey else 3]).all()
        assert label == number % 2


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_encoded_bytes(tmp_path: Path, build: Build, kind: pa.DataType) -> None:
    dataset = build("parquet", path=str(write(tmp_path / "t.parquet", pa.array(pictures(), kind), labels())))
    assert dataset.manifest.classes == ["0", "1"]
    check_pixels(dataset)


def test_structs_and_declared_class_names(tmp_path: Path, build: Build) -> None:
    cells = [{"bytes": content, "path": None} for content in pictures()]
    features = {"label": {"names": ["zebra", "ape", "unused"], "_type": "ClassLabel"}}
    table = write(
        tmp_path / "t.parquet", pa.array([*cells, None, {"bytes": None, "path": None}], STRUCT), [*labels(), 0, 0], features
    )
    dataset = build("parquet", LENIENT, path=str(table))
    assert dataset.manifest.classes == ["zebra", "ape"]
    check_pixels(dataset)
    assert rejected(dataset) == {"t.parquet:40": "image missing", "t.parquet:41": "image missing"}


def test_paths_beside_the_table(tmp_path: Path, build: Build) -> None:
    for i, content in enumerate(pictures()):
        (tmp_path / f"{i}.png").write_bytes(content)
    names = [f"{i}.png" for i in range(NUM)]
    structs = [{"bytes": None, "path": name} for name in names]
    plain = build("parquet", path=str(write(tmp_path / "a.parquet", pa.array(names), labels())))
    nested = build("parquet", path=str(write(tmp_path / "b.parquet", pa.array(structs, STRUCT), labels())))
    for dataset in (plain, nested):
        assert set(placed(dataset)) == set(names)
        part = dataset.split("train")
        for pixels, name in zip(part.inputs, dataset.sources("train"), strict=True):
            assert (pixels.transpose(1, 2, 0) == picture(int(name.removesuffix(".png")))).all()


@pytest.mark.parametrize("channels_first", [False, True])
def test_arrays(tmp_path: Path, build: Build, channels_first: bool) -> None:
    cells = [np.asarray(picture(i)) for i in range(NUM)]
    cells = [cell.transpose(2, 0, 1) for cell in cells] if channels_first else cells
    dataset = build("parquet", path=str(write(tmp_path / "t.parquet", [cell.tolist() for cell in cells], labels())))
    check_pixels(dataset)


def test_grey_arrays_of_other_types(tmp_path: Path, build: Build) -> None:
    cells = [np.asarray(picture(i))[..., 0] for i in range(NUM)]
    kind = pa.list_(pa.list_(pa.uint8(), 8), 8)
    fixed = write(tmp_path / "fixed.parquet", pa.array([cell.tolist() for cell in cells], kind), labels())
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(np.stack(cells))
    for table in (fixed, write(tmp_path / "tensor.parquet", tensor, labels())):
        dataset = build("parquet", path=str(table), **({} if table == fixed else {"size": 8}))
        assert dataset.manifest.shape == [1, 8, 8]
        check_pixels(dataset, grey=True)
    flat = write(tmp_path / "flat.parquet", [cell.ravel().tolist() for cell in cells], labels())
    check_pixels(build("parquet", path=str(flat), size=8), grey=True)
    with pytest.raises(DataError, match=r"40 x array of 64 values in one row; set data.size"):
        build("parquet", path=str(flat))


def test_bad_arrays_are_listed(tmp_path: Path, build: Build) -> None:
    cells: list[Any] = [np.asarray(picture(i))[..., 0].tolist() for i in range(NUM)]
    cells += [[[1, 2], [3]], [[1, None]], [], None]
    dataset = build("parquet", LENIENT, path=str(write(tmp_path / "t.parquet", cells, labels(NUM + 4))), size=8)
    assert list(rejected(dataset).values()) == [
        "array whose rows differ in length", "array with missing values",
        "array with missing values", "image missing",
    ]  # fmt: skip


def test_labels_of_many_types(tmp_path: Path, build: Build) -> None:
    def classes(values: Any, **data: Any) -> list[str]:
        return build("parquet", LENIENT, path=str(write(tmp_path / "t.parquet", pictures(), values)), **data).manifest.classes

    assert classes([["b", "a"][i % 2] for i in range(NUM)]) == ["a", "b"]
    assert classes(pa.array([["b", "a"][i % 2] for i in range(NUM)]).dictionary_encode()) == ["a", "b"]
    assert classes([i % 12 for i in range(NUM)]) == [str(i) for i in range(12)]
    assert classes([bool(i % 2) for i in range(NUM)]) == ["false", "true"]
    assert classes([float(i % 2) if i else None for i in range(NUM)]) == ["0", "1"]
    assert classes([i % 4 + 0.5 for i in range(NUM)], target="classes") == ["0.5", "1.5", "2.5", "3.5"]


def test_missing_and_undeclared_labels_are_listed(tmp_path: Path, build: Build) -> None:
    features = {"label": {"names": ["a", "b"], "_type": "ClassLabel"}}
    table = write(tmp_path / "t.parquet", pictures(), [None, -1, 2, *labels(NUM - 3)], features)
    assert rejected(build("parquet", LENIENT, path=str(table))) == {
        "t.parquet:0": "label missing",
        "t.parquet:1": "label -1 is not one of the 2 declared classes",
        "t.parquet:2": "label 2 is not one of the 2 declared classes",
    }


def test_lists_of_labels(tmp_path: Path, build: Build) -> None:
    features = {"label": {"feature": {"names": ["a", "b"], "_type": "ClassLabel"}, "_type": "Sequence"}}
    table = write(tmp_path / "t.parquet", pictures(), [[[0, 1], [1], []][i % 3] for i in range(NUM)], features)
    dataset = build("parquet", path=str(table))
    assert (dataset.manifest.task, dataset.manifest.classes) == ("multi", ["a", "b"])
    rows = [int(name.rpartition(":")[2]) for name in dataset.sources("train")]
    assert dataset.split("train").labels.tolist() == [[[1, 1], [0, 1], [0, 0]][row % 3] for row in rows]


def test_files_named_like_splits(tmp_path: Path, build: Build) -> None:
    write(tmp_path / "data" / "train-00000-of-00002.parquet", pictures(0, 20), labels(20))
    write(tmp_path / "data" / "train-00001-of-00002.parquet", pictures(20, 20), labels(20))
    write(tmp_path / "data" / "validation-00000-of-00001.parquet", pictures(40, 6), labels(6))
    write(tmp_path / "data" / "test-00000-of-00001.parquet", pictures(50, 8), labels(8))
    dataset = build("parquet", path=str(tmp_path))
    assert dataset.manifest.counts == {"train": 40, "val": 6, "test": 8}
    assert placed(dataset)["data/validation-00000-of-00001.parquet:0"] == "val"
    write(tmp_path / "data" / "extra.parquet", pictures(60, 4), labels(4))
    with pytest.raises(DataError, match=r"some file names say a split .*, but data/extra.parquet does not"):
        build("parquet", path=str(tmp_path))


def test_shards_without_split_names(tmp_path: Path, build: Build) -> None:
    whole = build("parquet", path=str(write(tmp_path / "whole" / "t.parquet", pictures(), labels())))
    write(tmp_path / "parts" / "0.parquet", pictures(0, 20), labels(20))
    write(tmp_path / "parts" / "1.parquet", pictures(20, 20), labels(20))
    parts = build("parquet", path=str(tmp_path / "parts"))
    assert parts.manifest.digest == whole.manifest.digest
    assert all((parts.split(s).inputs == whole.split(s).inputs).all() for s in ("train", "val", "test"))


def test_columns_for_splits_and_groups(tmp_path: Path, build: Build) -> None:
    fold = [["train", "test", "valid", None][i % 4] for i in range(NUM)]
    table = write(tmp_path / "t.parquet", pictures(), [i // 4 % 2 for i in range(NUM)], fold=fold)
    dataset = build("parquet", path=str(table), split="fold")
    assert dataset.manifest.counts == {"train": 20, "val": 10, "test": 10}


def test_missing_columns_and_wrong_types(tmp_path: Path, build: Build) -> None:
    table = write(tmp_path / "t.parquet", pictures(), labels())
    with pytest.raises(
        DataError,
        match=r"no column 'fine_label', .* Did you mean 'label'\? Say this:\n  regatta run data.label=label ",
    ):
        build("parquet", path=str(table), label="fine_label")
    switches = {"cat": labels(), "dog": [label == 0 for label in labels()], "id": list(range(NUM))}
    table = write(tmp_path / "s.parquet", pictures(), ["ab"[label] for label in labels()], **switches)
    with pytest.raises(DataError, match=r"regatta run 'data.label=\[cat,dog\]'   # takes the 2 columns of 0 and 1"):
        build("parquet", path=str(table), label="kind")
    with pytest.raises(DataError, match="is of type double; encoded samples"):
        build("parquet", path=str(write(tmp_path / "d.parquet", [0.5] * NUM, labels())))
    with pytest.raises(DataError, match="is of type bool; encoded samples"):
        build("parquet", path=str(write(tmp_path / "f.parquet", [[True]] * NUM, labels())))


def test_damaged_files(tmp_path: Path, build: Build) -> None:
    table = write(tmp_path / "t.parquet", pictures(), labels())
    content = table.read_bytes()
    table.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="not a whole Parquet file"):
        build("parquet", path=str(table))
    table.write_bytes(content[:200] + bytes(200) + content[400:])
    with pytest.raises(DataError, match=r"damaged|can't be taken"):
        build("parquet", path=str(table))
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"no .parquet file in it"):
        build("parquet", path=str(tmp_path / "none"))


def one_hot(num: int = NUM, length: int = 3) -> list[list[int]]:
    return [[int(i % 3 == place) for place in range(length)] for i in range(num)]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float64()), pa.list_(pa.int64()), pa.list_(pa.float32(), 3), pa.large_list(pa.bool_())]
)
def test_one_hot_lists_are_one_class(tmp_path: Path, build: Build, kind: pa.DataType) -> None:
    values = pa.array(one_hot(), pa.list_(pa.int64())).cast(pa.list_(kind.value_type)).to_pylist()
    table = write(tmp_path / "t.parquet", pictures(), pa.array(values, kind))
    dataset = build("parquet", path=str(table))
    assert (dataset.manifest.task, dataset.manifest.classes) == ("single", ["0", "1", "2"])
    assert any("holds lists of 3 numbers, all 0 or 1" in note for note in dataset.manifest.notes)
    assert any("data.exclusive=false" in note for note in dataset.manifest.notes)
    part = dataset.split("train")
    for label, name in zip(part.labels, dataset.sources("train"), strict=True):
        assert label == int(name.rpartition(":")[2]) % 3
    assert build("parquet", path=str(table), exclusive=False).manifest.task == "multi"


def test_lists_of_0_and_1_with_several_ones(tmp_path: Path, build: Build) -> None:
    values = [[1, 1, 0], [0, 0, 1], [0, 0, 0], [1, 0, 1]] * 10
    dataset = build("parquet", path=str(write(tmp_path / "t.parquet", pictures(), values)))
    assert (dataset.manifest.task, dataset.manifest.classes) == ("multi", ["0", "1", "2"])
    part = dataset.split("train")
    for label, name in zip(part.labels, dataset.sources("train"), strict=True):
        assert label.tolist() == values[int(name.rpartition(":")[2])]


def test_a_gap_in_lists_of_0_and_1_is_that_row_alone(tmp_path: Path, build: Build) -> None:
    values: list[Any] = [*one_hot()[:-3], [0.0, None, 1.0], [float("nan"), 0.0, 1.0], None]
    table = write(tmp_path / "t.parquet", pictures(), pa.array(values, pa.list_(pa.float64())))
    dataset = build("parquet", LENIENT, path=str(table))
    assert (dataset.manifest.task, dataset.manifest.classes) == ("single", ["0", "1", "2"])
    assert [*rejected(dataset).values()] == [
        "label [0.0, missing, 1.0]: 0 or 1 is allowed at each place",
        "label [missing, 0.0, 1.0]: 0 or 1 is allowed at each place",
        "label missing",
    ]


@pytest.mark.parametrize(
    "values", [[[0], [1]], [[0, 1], [1]], [[0, 1], [1, 2]], [["0", "1"], ["1", "0"]]], ids=["one", "ragged", "2", "text"]
)
def test_other_lists_hold_names(tmp_path: Path, build: Build, values: list[Any]) -> None:
    dataset = build("parquet", path=str(write(tmp_path / "t.parquet", pictures(), values * (NUM // 2))))
    assert dataset.manifest.task == "multi"
    assert dataset.manifest.classes == sorted({str(item) for row in values for item in row})
    assert not any("the place of a 1" in note or "one class a sample" in note for note in dataset.manifest.notes)


def test_lists_of_0_and_1_in_some_files_alone(tmp_path: Path, build: Build) -> None:
    write(tmp_path / "a.parquet", pictures(0, 20), one_hot(20))
    b = write(tmp_path / "b.parquet", pictures(20, 20), one_hot(20, length=4))
    with pytest.raises(DataError, match="lists of 0 and 1 of one length in some files"):
        build("parquet", path=str(tmp_path))
    with pytest.raises(DataError, match="the given splits differ in kind: lists of 0 and 1"):
        build("parquet", train_path=str(tmp_path / "a.parquet"), val_path=str(b))


@pytest.mark.parametrize(
    ("images", "classes", "words"),
    [
        ([bytes(200 * 2**20)], ["a"], "column 'image' holds 200 MB in 1 rows (row group 0); a sample may have 128 MB"),
        ([*pictures(), bytes(200 * 2**20)], labels(NUM + 1), "column 'image' holds 200 MB in 41 rows (row group 0) and "),
        (pictures(), ["a"] * (NUM - 1) + ["b" * 200 * 2**20], "column 'label' holds 200 MB in 40 rows (row group 0) and "),
    ],
    ids=["one", "among others", "label"],
)
def test_cells_that_grow_when_they_are_read_are_refused_before(
    tmp_path: Path, build: Build, images: list[bytes], classes: list[Any], words: str
) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": images, "label": classes}), path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 100_000
    pool = pa.default_memory_pool()
    measured = pa.proxy_memory_pool(pool)
    pa.set_memory_pool(measured)
    try:
        with pytest.raises(DataError) as error:
            build("parquet", path=str(path))
    finally:
        pa.set_memory_pool(pool)
    assert words in str(error.value)
    assert measured.max_memory() < 2**20


def in_a_dictionary(value: Any, num: int) -> pa.DictionaryArray:
    """One value to which all rows refer."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * num, pa.int32()), pa.array([value]))


@pytest.mark.parametrize(
    ("column", "value"), [("image", bytes(16 * 2**20)), ("label", "a" * 16 * 2**20)], ids=["image", "label"]
)
def test_a_large_value_to_which_many_rows_refer_is_refused_in_bounded_memory(
    tmp_path: Path, build: Build, column: str, value: Any
) -> None:
    path = tmp_path / "t.parquet"
    cells = {"image": [*pictures()] * 25, "label": labels(25 * NUM), column: in_a_dictionary(value, 25 * NUM)}
    pq.write_table(pa.table(cells), path, compression="zstd", store_schema=False, dictionary_pagesize_limit=2**30)
    assert path.stat().st_size < 400_000
    pool = pa.default_memory_pool()
    measured = pa.proxy_memory_pool(pool)
    pa.set_memory_pool(measured)
    try:
        with pytest.raises(
            DataError, match=r"t\.parquet: its first rows hold \d+ MB in .*: many rows refer to one large value"
        ):
            build("parquet", path=str(path))
    finally:
        pa.set_memory_pool(pool)
    assert measured.max_memory() < 600 * 2**20


def test_numbers_of_which_a_file_tells_only_how_often_are_refused_before(
    tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_MAX_DECODED_BYTES", 2**20)
    pixels = pa.ListArray.from_arrays([0, 150_000], pa.array(np.zeros(150_000, np.int8)))
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": pixels, "label": ["a"]}), path, compression="zstd")
    assert path.stat().st_size < 10_000
    with pytest.raises(
        DataError, match=r"in 1 rows \(row group 0\) that are 1 MB of numbers; write it with row groups of less"
    ):
        build("parquet", path=str(path))


def test_pictures_that_come_twice_are_no_bomb(tmp_path: Path, build: Build) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": [*pictures()] * 25, "label": labels(25 * NUM)}), path)
    assert build("parquet", path=str(path)).manifest.num_read == 25 * NUM
