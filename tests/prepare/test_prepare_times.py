from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_samples import data_config, encoded, picture, placed, prepare_config, rejected, table_config, write_table

from pipeline.data.dataset import Dataset
from pipeline.errors import ConfigError, DataError
from pipeline.prepare.build import build_dataset
from pipeline.prepare.splits import TEST, TRAIN, VAL, by_time
from pipeline.prepare.times import read_time

Build = Callable[..., Dataset]
LENIENT = {"max_bad_fraction": 0.9}
FRACTIONS = {VAL: 0.1, TEST: 0.1}
SPLITS = ("train", "val", "test")


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    for i in range(40):
        (tmp_path / f"{i}.png").write_bytes(encoded(picture(i)))
    return [f"{i}.png" for i in range(40)]


def table(images: list[str], times: list[str], *more: list[str]) -> Path:
    """A table of these times, "when"; `more`: names and cells of further columns."""
    rows = [["image", "label", "when", *(name for name, *_ in more)]]
    for i, (name, time) in enumerate(zip(images, times, strict=True)):
        rows.append([name, "ab"[i % 2], time, *(cells[i] for _, *cells in more)])
    return write_table(Path("t.csv").absolute(), rows)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def days(num: int) -> list[str]:
    """Of January and February, not in order."""
    order = np.random.default_rng(0).permutation(num)
    return [f"2024-{1 + i // 28:02d}-{1 + i % 28:02d}" for i in order]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-31", "2024-01-31T00:00"),
        ("2024-01-31T10:30:00Z", "2024-01-31T10:30"),
        ("2024-01-31 10:30:00+02:00", "2024-01-31T08:30"),
        ("2024-1-2", "2024-01-02T00:00"),
        ("2024/01/31 3:04 PM", "2024-01-31T15:04"),
        ("2024-01", "2024-01-01T00:00"),
        ("31.1.2024 07:05", "2024-01-31T07:05"),
        ("31.01.69", "1969-01-31T00:00"),
        ("31 Jan 2024", "2024-01-31T00:00"),
        ("January 31st, 2024 12:00 am", "2024-01-31T00:00"),
        ("Wed, 31 Jan 2024 10:00:00 -0130", "2024-01-31T11:30"),
        ("Wed Jan 31 10:00:00 2024", "2024-01-31T10:00"),
        ("Feb 2024", "2024-02-01T00:00"),
    ],
)
def test_forms_of_dates(text: str, expected: str) -> None:
    found = read_time(text)
    assert found.kind == "date"
    assert datetime.fromtimestamp(found.day_first / 1e6, UTC) == datetime.fromisoformat(expected).replace(tzinfo=UTC)
    assert found.day_first == found.month_first


def test_numbers_and_what_is_neither() -> None:
    assert [read_time(text)[:2] for text in ("1706659200", "-1.5e3", "20240131")] == [
        ("number", 1706659200.0),
        ("number", -1500.0),
        ("number", 20240131.0),
    ]
    for text in ("soon", "nan", "inf", "1e999", "2024-02-30", "2/30/2024", "10:30", "13:00 pm", "2024-01-31 25:00", "1,5"):
        assert read_time(text).kind == "none", text


def test_day_or_month_first_is_both_until_it_is_settled() -> None:
    both = read_time("01/02/2024")
    assert [datetime.fromtimestamp(value / 1e6, UTC).strftime("%d %b") for value in both[1:3]] == ["01 Feb", "02 Jan"]
    assert np.isnan(read_time("31/01/2024").month_first)
    assert np.isnan(read_time("01-31-24").day_first)


def test_the_newest_are_test_and_the_next_ones_val(images: list[str], build: Build) -> None:
    times = days(40)
    dataset = build("csv", path=str(table(images, times)), time="when")
    ranked = sorted(range(40), key=lambda i: times[i])
    where = placed(dataset)
    assert [where[images[i]] for i in ranked] == ["train"] * 32 + ["val"] * 4 + ["test"] * 4
    [note] = [note for note in dataset.manifest.notes if "split by time" in note]
    assert note == (
        "split by time (column when), the newest in test: train 2024-01-01 to 2024-02-04; val 2024-02-05 to 2024-02-08; "
        "test 2024-02-09 to 2024-02-12"
    )


def test_ids_stay_and_the_digest_knows_the_times(images: list[str], build: Build) -> None:
    by_content = build("csv", path=str(table(images, days(40))))
    by_time_ = build("csv", path=str(table(images, days(40))), time="when")
    later = build("csv", path=str(table(images, [*days(39), "2024-03-01"])), time="when")
    ids = [np.sort(np.concatenate([one.split(name).ids for name in SPLITS])) for one in (by_content, by_time_, later)]
    assert np.array_equal(ids[0], ids[1])
    assert np.array_equal(ids[1], ids[2])
    assert len({one.manifest.digest for one in (by_content, by_time_, later)}) == 3
    assert by_content.manifest.source_digest != by_time_.manifest.source_digest != later.manifest.source_digest


def test_equal_times_and_groups_never_part(images: list[str], build: Build) -> None:
    months = [f"2024-{1 + i // 10:02d}" for i in range(40)]
    dataset = build("csv", path=str(table(images, months)), time="when")
    where = placed(dataset)
    assert [where[name] for name in images] == ["train"] * 20 + ["val"] * 10 + ["test"] * 10
    far = "the splits are train 50 %, val 25 %, test 25 %, where 10 % (prepare.val_fraction) and 10 % (prepare.test_fraction)"
    assert any(note.startswith(far) for note in dataset.manifest.notes)
    times = [f"2024-01-{1 + i // 2:02d}" for i in range(40)]
    patients = ["patient", *(f"p{i}" for i in range(40))]
    patients[1] = patients[40]  # the oldest sample is of the newest one's patient
    dataset = build("csv", path=str(table(images, times, patients)), time="when", group="patient")
    where = placed(dataset)
    assert where["0.png"] == where["39.png"] == "test"
    [note] = [note for note in dataset.manifest.notes if note.startswith("no newer than the newest training sample are 1 of ")]
    assert "of test: a newer sample of their group, or an exact copy, brought them along" in note
    assert note.endswith("test says less of what comes later; by time alone: regatta run '~data.group'")
    newest_trained = max(times[i] for i in range(40) if where[images[i]] == "train")
    assert all(times[i] > newest_trained for i in range(1, 40) if where[images[i]] != "train")


def test_copies_stay_together(images: list[str], build: Build) -> None:
    Path("0.png").write_bytes(Path("39.png").read_bytes())
    where = placed(build("csv", path=str(table(images, [f"{i}" for i in range(40)])), time="when"))
    assert where["0.png"] == where["39.png"] == "test"


@pytest.mark.parametrize(
    ("times", "order"),
    [
        ([f"{1 + i % 28:02d}/{1 + i // 28:02d}/2024" for i in range(40)], list(range(40))),
        ([f"{1 + i // 28:02d}/{1 + i % 28:02d}/2024" for i in range(40)], list(range(40))),
        ([str(1_700_000_000 + 3600 * (39 - i)) for i in range(40)], list(range(39, -1, -1))),
        ([f"2024-01-01T{i // 2:02d}:00:00+0{i % 2}:{i % 2}5" for i in range(40)], None),
    ],
    ids=["days first", "months first", "epochs", "zones"],
)
def test_forms_of_columns(images: list[str], build: Build, times: list[str], order: list[int] | None) -> None:
    where = placed(build("csv", path=str(table(images, times)), time="when"))
    order = order or sorted(range(40), key=lambda i: datetime.fromisoformat(times[i]))
    assert [where[images[i]] for i in order[-4:]] == ["test"] * 4
    assert [where[images[i]] for i in order[:32]] == ["train"] * 32


def test_an_order_of_day_and_month_that_nothing_tells_is_asked_for(images: list[str], build: Build) -> None:
    times = [f"{1 + i % 7:02d}/{1 + i // 7:02d}/2024" for i in range(40)]
    path = str(table(images, times))
    with pytest.raises(DataError) as refusal:
        build("csv", path=path, time="when")
    assert "data.time = when: 01/01/2024 has the day or the month first" not in str(refusal.value), "that is one day"
    assert "data.time = when: 02/01/2024 has the day or the month first, and none of 35 such dates" in str(refusal.value)
    assert "regatta run data.day_first=true " in str(refusal.value)
    assert "regatta run data.day_first=false " in str(refusal.value)
    for first, form in ((True, "%d/%m/%Y"), (False, "%m/%d/%Y")):
        where = placed(build("csv", path=path, time="when", day_first=first))
        newest = sorted(range(40), key=lambda i: datetime.strptime(times[i], form))[-4:]
        assert {name for name, split in where.items() if split == "test"} == {images[i] for i in newest}


def test_contradicting_orders_are_refused_and_settled_by_name(images: list[str], build: Build) -> None:
    times = [f"{1 + i % 28:02d}/01/20{i // 28 + 24}" for i in range(39)] + ["01/13/2030"]
    path = str(table(images, times))
    with pytest.raises(DataError, match=r"13/01/2024 has the day first, 01/13/2030 the month. Say one of:\n  regatta run data"):
        build("csv", path=path, time="when")
    dataset = build("csv", LENIENT, path=path, time="when", day_first=True)
    [reason] = rejected(dataset).values()
    assert reason == "column when says '01/13/2030', and there is no such day in the order in which the column's dates are read"


BAD = {
    "unparsable": ("soon", "column when says 'soon', which is no time"),
    "empty": ("", "column when: no time"),
    "no such day": ("2024-02-30", "column when says '2024-02-30', which is no time"),
    "number among dates": ("1706659200", "column when says '1706659200', a number among dates"),
    "not a number": ("nan", "column when says 'nan', which is no time"),
}


@pytest.mark.parametrize(("cell", "reason"), BAD.values(), ids=BAD)
def test_cells_without_a_time_are_listed(images: list[str], build: Build, cell: str, reason: str) -> None:
    path = str(table(images, [*days(39), cell]))
    dataset = build("csv", LENIENT, path=path, time="when")
    [(name, said)] = rejected(dataset).items()
    assert name == "39.png:41"
    assert said.startswith(reason)
    with pytest.raises(DataError, match=r"1 of 40 \(2.5 %\) samples can't be taken"):
        build("csv", path=path, time="when")


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["2024-01-01"] * 40, r"data.time = when: the times of all 40 samples are 1 \(2024-01-01\), and train, val, test need"),
        (["1", "2"] * 20, r"data.time = when: the times of all 40 samples are 2 \(1, 2\), and train, val, test need one each"),
        (["soon"] * 40, r"40 of 40 \(100 %\) samples can't be taken"),
        ([""] * 40, r"40 of 40 \(100 %\) samples can't be taken"),
    ],
    ids=["all equal", "two", "none can be read", "all empty"],
)
def test_columns_that_can_not_cut(images: list[str], build: Build, times: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        build("csv", LENIENT, path=str(table(images, times)), time="when")


def test_given_splits_are_refused_beside_times(images: list[str], build: Build) -> None:
    path = table(images, days(40), ["fold", *["train", "test"] * 20])
    for keys in ({"split": "fold"}, {"test_path": "data/test.csv"}, {"val_path": "data/val.csv"}):
        with pytest.raises(
            ConfigError, match=r"time = when cuts the splits by time, and (split|test_path|val_path) gives them"
        ):
            data_config("csv", path=str(path), time="when", **keys)
    with pytest.raises(ConfigError, match=r"source = folder has no columns for time"):
        data_config("folder", path=".", time="when")
    with pytest.raises(ConfigError, match=r"day_first says how the dates in the column time are read, and time names none"):
        data_config("csv", path=str(path), day_first=True)
    path.rename("train.csv")
    Path("test.csv").write_bytes(Path("train.csv").read_bytes())
    with pytest.raises(DataError, match=r"data.time = when, but the data has given splits already \(train: 40, test: 40\)"):
        build("csv", path=".", time="when")
    with pytest.raises(
        DataError,
        match=r"no column 'then', which data.time (?s:.*)\n  regatta run '~data.time'   # goes on without data.time",
    ):
        build("csv", path="train.csv", time="then")


def test_parquet_with_times_of_its_own(images: list[str], build: Build) -> None:
    contents = [Path(name).read_bytes() for name in images]
    start = np.datetime64("2024-01-01T00:00:00.000000001", "ns")
    columns = {
        "when": pa.array(start + np.arange(40)[::-1] * np.timedelta64(36, "h"), pa.timestamp("ns", "UTC")),
        "day": pa.array((start + np.arange(40) * np.timedelta64(1, "D")).astype("datetime64[D]")),
        "epoch": pa.array(np.arange(40) * 0.5),
    }
    pq.write_table(pa.table({"image": contents, "label": ["a", "b"] * 20, **columns}), "t.parquet")
    for name, newest in (("when", range(4)), ("day", range(36, 40)), ("epoch", range(36, 40))):
        dataset = build("parquet", path="t.parquet", time=name)
        assert set(dataset.sources("test")) == {f"t.parquet:{i}" for i in newest}, name


def test_cutting_by_time_takes_whole_moments_nearest_to_the_fractions() -> None:
    units = np.arange(100, dtype=np.uint64)
    assert np.bincount(by_time(units, np.arange(100.0), FRACTIONS)).tolist() == [80, 10, 10]
    moments = np.r_[np.zeros(50), np.ones(30), np.full(14, 2.0), np.full(6, 3.0)]
    splits = by_time(units, moments, FRACTIONS)
    assert np.bincount(splits).tolist() == [80, 14, 6], "6 is nearer to 10 than 20"
    assert by_time(units, np.r_[np.zeros(99), 1.0], {VAL: 0.0, TEST: 0.5}).tolist() == [TRAIN] * 99 + [TEST]
    assert np.bincount(by_time(units, np.repeat([1.0, 2.0, 3.0], [1, 1, 98]), FRACTIONS)).tolist() == [1, 1, 98]
    assert set(by_time(units, np.zeros(100), FRACTIONS).tolist()) == {TRAIN}
    for num in range(3, 40):
        assert set(by_time(units[:num], np.arange(float(num)), {VAL: 0.3, TEST: 0.6}).tolist()) == {TRAIN, VAL, TEST}


def test_the_newest_of_a_unit_decides_for_it() -> None:
    units = np.array([1, 2, 3, 1, 4, 5, 6, 7, 8, 9], np.uint64)
    splits = by_time(units, np.array([0.0, 1, 2, 9, 3, 4, 5, 6, 7, 8]), FRACTIONS)
    assert splits.tolist() == [TEST, 0, 0, TEST, 0, 0, 0, 0, 0, VAL]


def test_a_table_is_cut_by_time_and_does_not_learn_from_it(tmp_path: Path) -> None:
    rows = [
        ["when", "x", "label"],
        *([f"{1 + i // 28:02d}/{1 + i % 28:02d}/2024", str(i % 7), "ab"[i % 2]] for i in range(100)),
    ]
    data = table_config(write_table(tmp_path / "t.csv", rows), time="when")
    (tmp_path / "out").mkdir()
    manifest = build_dataset(data, prepare_config(), tmp_path / "out", "code", 1)
    assert manifest.counts == {"train": 80, "val": 10, "test": 10}
    assert [column["name"] for column in manifest.fit["columns"]] == ["x"]
