"""Labels that are numbers: recognised or asked for, standardised on the training split, bad ones listed or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_samples import class_folders, encoded, picture, rejected

from pipeline.data.dataset import Dataset, label_name
from pipeline.errors import ConfigError, DataError
from pipeline.prepare.numbers import number_in, strata

Build = Callable[..., Dataset]
LENIENT = {"max_bad_fraction": 0.9}
NUM = 60
PRICES = [100.5 + 7.25 * (i * 37 % NUM) for i in range(NUM)]


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., str]:
    """A csv (text) or parquet (of the values' own type) file with a picture and label columns a row."""

    def write(suffix: str, **columns: list[Any]) -> str:
        (tmp_path / "images").mkdir(exist_ok=True)
        num = len(next(iter(columns.values())))
        for i in range(num):
            (tmp_path / "images" / f"{i}.png").write_bytes(encoded(picture(i)))
        whole = {"image": [f"images/{i}.png" for i in range(num)], **columns}
        path = tmp_path / f"t.{suffix}"
        if suffix == "parquet":
            pq.write_table(pa.table(whole), path)
        else:
            rows = zip(*whole.values(), strict=True)
            path.write_text("\n".join([",".join(whole), *(",".join(map(str, row)) for row in rows)]))
        return str(path)

    return write


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_column_of_many_numbers_is_predicted_as_a_number(table: Callable[..., str], build: Build, suffix: str) -> None:
    dataset = build(suffix, path=table(suffix, price=PRICES), label="price")
    manifest, train = dataset.manifest, dataset.split("train")
    assert (manifest.task, manifest.classes, manifest.targets) == ("number", [], ["price"])
    assert train.labels.dtype == np.float64
    expected = [PRICES[int(name.rpartition("/")[2].removesuffix(".png"))] for name in dataset.sources("train")]
    assert train.labels.tolist() == expected
    assert manifest.target_fit == {"mean": [np.mean(expected)], "std": [pytest.approx(np.std(expected), rel=1e-15)]}
    assert manifest.class_counts == {"train": [], "val": [], "test": []}
    [said] = [note for note in manifest.notes if "different numbers" in note]
    assert said == (
        "column 'price' holds 60 different numbers and is predicted as a number; "
        "data.target=classes takes each value as a class"
    )
    assert label_name(train.labels[0], manifest) == f"{expected[0]:.10g}"


def test_csv_and_parquet_of_the_same_numbers_are_the_same_dataset(table: Callable[..., str], build: Build) -> None:
    one, other = (build(suffix, path=table(suffix, price=PRICES), label="price").manifest for suffix in ("csv", "parquet"))
    assert (one.source_digest, one.target_fit) == (other.source_digest, other.target_fit)


def test_few_numbers_with_a_fraction_are_asked_about(table: Callable[..., str], build: Build) -> None:
    for suffix in ("csv", "parquet"):
        path = table(suffix, stars=[(i % 9) / 2 for i in range(NUM)])
        with pytest.raises(DataError) as error:
            build(suffix, path=path, label="stars")
        assert str(error.value) == (
            "column 'stars' holds numbers with a fraction, of 9 values (0, 0.5, 1, ...): say data.target=number to predict a "
            "number, or data.target=classes to take each value as a class"
        )
        assert build(suffix, path=path, label="stars", target="number").manifest.targets == ["stars"]
        classes = build(suffix, path=path, label="stars", target="classes").manifest.classes
        assert classes[:3] == ["0", "0.5", "1"]


def test_whole_numbers_that_may_be_numbers_of_classes_are_classes(table: Callable[..., str], build: Build) -> None:
    dataset = build("csv", LENIENT, path=table("csv", kind=[i % 25 for i in range(100)]), label="kind")
    assert (dataset.manifest.task, len(dataset.manifest.classes)) == ("single", 25)
    assert (
        "the 25 different numbers of column 'kind' are taken as classes; data.target=number predicts them as a number"
        in dataset.manifest.notes
    )
    years = build("csv", path=table("csv", year=[1900 + i for i in range(NUM)]), label="year")
    assert years.manifest.task == "number"
    ids = build("csv", LENIENT, path=table("csv", who=[f"0{i // 4}" for i in range(120)]), label="who")
    assert ids.manifest.task == "single"


def test_several_numbers(table: Callable[..., str], build: Build) -> None:
    columns = {"price": PRICES, "rooms": [i % 7 for i in range(NUM)]}
    dataset = build("csv", path=table("csv", **columns), label=["rooms", "price"], target="number")
    train = dataset.split("train")
    places = [int(name.rpartition("/")[2].removesuffix(".png")) for name in dataset.sources("train")]
    assert train.labels.tolist() == [[i % 7, PRICES[i]] for i in places]
    assert dataset.manifest.targets == ["rooms", "price"]
    assert dataset.manifest.target_fit["std"] == pytest.approx(np.std(train.labels, axis=0).tolist())
    lists = [[float(i % 7), PRICES[i]] for i in range(NUM - 1)] + [[1.0]]
    listed = build("parquet", LENIENT, path=table("parquet", both=lists), label="both", target="number")
    assert listed.manifest.targets == ["both[0]", "both[1]"]
    assert rejected(listed) == {"images/59.png:59": "1 numbers as the label, and others have 2"}


def test_what_is_no_finite_number_is_listed(table: Callable[..., str], build: Build) -> None:
    said = ["inf", "-nan", "NA", "1,5", "12 km", ""]
    cells = [*PRICES, *(f'"{text}"' for text in said)]
    dataset = build("csv", LENIENT, path=table("csv", price=cells), label="price", target="number")
    assert list(rejected(dataset).values()) == [
        "label 'inf' is not a finite number",
        "label '-nan' is not a finite number",
        "label 'NA' is not a number",
        "label '1,5' is not a number",
        "label '12 km' is not a number",
        "label missing",
    ]
    holes = build("parquet", LENIENT, path=table("parquet", price=[*PRICES, float("nan"), float("inf"), None]), label="price")
    assert list(rejected(holes).values()) == ["label missing", "label inf is not a finite number", "label missing"]
    assert holes.manifest.task == "number"


def test_numbers_that_teach_nothing_are_refused(table: Callable[..., str], build: Build) -> None:
    for value in ("7", "7.0"):
        with pytest.raises(DataError, match=r"all \d+ training samples have the same number in 1 column \(price\)"):
            build("csv", path=table("csv", price=[value] * NUM), label="price", target="number")
    with pytest.raises(DataError, match=r"the numbers in 1 column \(price\) are too large, or too close together"):
        build("csv", path=table("csv", price=[f"{i}e306" for i in range(NUM)]), label="price", target="number")
    with pytest.raises(ConfigError, match="target = number: separator is of classes"):
        build("csv", path=table("csv", price=PRICES), label="price", target="number", separator="|")


def test_folders_may_be_named_by_numbers(tmp_path: Path, build: Build) -> None:
    class_folders(tmp_path, 12, ("1", "2.5", "40"))
    assert build("folder", path=str(tmp_path)).manifest.classes == ["1", "2.5", "40"]
    ages = build("folder", path=str(tmp_path), target="number")
    assert ages.manifest.targets == ["label"]
    assert set(ages.split("train").labels.tolist()) == {1.0, 2.5, 40.0}


def test_small_and_large_numbers_reach_every_split(table: Callable[..., str], build: Build) -> None:
    dataset = build("csv", path=table("csv", price=PRICES), label="price")
    fifths = np.quantile(PRICES, [0.2, 0.4, 0.6, 0.8])
    for name in ("train", "val", "test"):
        assert set(np.searchsorted(fifths, dataset.split(name).labels, side="right")) == set(range(5)), name


def test_strata_are_fifths_and_ties_stay_together() -> None:
    values = np.array([0.0, 0.0, 0.0, 1.0, 2.0, 3.0])
    found = strata(values, np.arange(6))
    assert found[0] == found[1] == found[2]
    assert found[-1] > found[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1.0), ("-.5", -0.5), ("1e3", 1000.0), ("+2.", 2.0), ("-0", 0.0), ("1_0", None), ("0x1", None), ("", None)],
)
def test_what_a_text_says(text: str, value: float | None) -> None:
    assert number_in(text) == value
