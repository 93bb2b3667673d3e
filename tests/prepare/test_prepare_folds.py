"""Folds: equal parts by class and group, each tested once, and never what the project keeps for its own test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_samples import class_folders, data_config, encoded, picture, placed, prepare_config, write_table

from pipeline import keyed
from pipeline.data.dataset import SPLITS, Dataset
from pipeline.errors import ConfigError, DataError
from pipeline.prepare.build import dataset_digest
from pipeline.prepare.folds import dealt

Build = Callable[..., Dataset]
GOLDEN = "1143251345124553312213434235521142432554"


def contents(num: int, start: int = 0) -> keyed.U64:
    return np.array([keyed.content_id(f"{i}".encode()) for i in range(start, start + num)], np.uint64)


def test_golden_vector() -> None:
    """Frozen: a change here gives every user other folds."""
    assert "".join(map(str, dealt(contents(40), np.arange(40) % 3, 5, 0))) == GOLDEN


def test_folds_are_of_one_size_in_all_and_in_each_class() -> None:
    strata = np.repeat([0, 1, 2], [201, 33, 4])
    folds = dealt(contents(238), strata, 5, 0)
    table = np.array([np.bincount(folds[strata == s], minlength=6)[1:] for s in range(3)])
    assert (np.ptp(table, axis=1) <= 1).all()
    assert np.ptp(table.sum(axis=0)) <= 1
    assert (dealt(contents(238), strata, 5, 1) != folds).any(), "another seed deals otherwise"
    order = np.random.default_rng(0).permutation(238)
    assert (dealt(contents(238)[order], strata[order], 5, 0) == folds[order]).all()


def test_equal_units_never_part() -> None:
    units = np.tile(contents(20), 4)
    folds = dealt(units, np.repeat([1, 0, 1, 1], 20), 4, 0).reshape(4, 20)
    assert (folds == folds[0]).all()


def folds_of(build: Build, num: int, source: str, prepare: dict[str, Any] | None = None, **data: Any) -> list[Dataset]:
    return [build(source, {**(prepare or {}), "fold": [i, num]}, **data) for i in range(1, num + 1)]


def ids(dataset: Dataset, *names: str) -> set[int]:
    return {int(i) for name in names for i in dataset.split(name).ids}


def test_every_sample_outside_of_the_projects_test_split_is_tested_once(build: Build) -> None:
    own, folds = build("digits"), folds_of(build, 3, "digits")
    tested = [ids(fold, "test") for fold in folds]
    assert sum(map(len, tested)) == len(ids(own, "train", "val")) == len(set().union(*tested))
    assert set().union(*tested) == ids(own, "train", "val")
    for fold, of_test in zip(folds, tested, strict=True):
        assert ids(fold, *SPLITS) == ids(own, "train", "val"), "the project's own test samples are in no part"
        assert not of_test & ids(fold, "train", "val")
        assert not ids(fold, "train") & ids(fold, "val")
        num = len(of_test)
        assert fold.manifest.counts["val"] == pytest.approx(0.1 * (len(ids(fold, *SPLITS)) - num), rel=0.25)
        assert np.ptp(np.array(fold.manifest.class_counts["test"]) - np.array(own.manifest.class_counts["train"]) / 3) < 20
    assert folds[0].manifest.notes[:2] == [
        "test is fold 1 of 3 of the samples that are train and val without folds",
        f"the {own.manifest.counts['test']} test samples without folds are in no split, so that no choice is made on them",
    ]
    assert len({fold.manifest.digest for fold in folds} | {own.manifest.digest}) == 4
    fits = [fold.manifest.fit for fold in folds]
    assert fits[0] != fits[1] != fits[2], "what is learned from training samples is each fold's own"


def test_given_test_samples_stay_out_and_given_val_samples_are_dealt_out(tmp_path: Path, build: Build) -> None:
    for start, split in ((0, "train"), (100, "val"), (200, "test")):
        class_folders(tmp_path / split, 12, start=start)
    given = {f"{split}_path": str(tmp_path / split) for split in SPLITS}
    folds = folds_of(build, 3, "folder", **given)
    assert [sum(fold.manifest.counts.values()) for fold in folds] == [48, 48, 48]
    tested = {name for fold in folds for name, split in placed(fold).items() if split == "test"}
    assert len(tested) == 48
    assert not any("/test/" in name for name in tested)


def test_groups_are_whole_in_a_fold(tmp_path: Path, build: Build) -> None:
    rows = [["image", "label", "patient"]]
    for i in range(60):
        (tmp_path / f"{i}.png").write_bytes(encoded(picture(i)))
        rows.append([f"{i}.png", "ab"[i % 2], f"p{i // 4}"])
    table = str(write_table(tmp_path / "t.csv", rows))
    folds = folds_of(build, 3, "csv", {"test_fraction": 0.0}, path=table, group="patient")
    where = [{int(Path(name).stem): split for name, split in placed(fold).items()} for fold in folds]
    assert [sum(split == "test" for split in of_fold.values()) for of_fold in where] == [20, 20, 20]
    for of_fold in where:
        assert all(len({of_fold[4 * group + i] for i in range(4)}) == 1 for group in range(15))
    with pytest.raises(DataError, match=r"16 folds \(study.folds, prepare.fold\) can't be cut from 15 groups of train and val"):
        build("csv", {"test_fraction": 0.0, "fold": [1, 16]}, path=table, group="patient")


def test_a_dataset_without_folds_has_the_digest_that_it_had() -> None:
    keys = prepare_config()
    before = {name: value for name, value in keys.model_dump().items() if name != "fold"}
    assert keys.identity == before
    digests = {dataset_digest(data_config("digits"), prepare_config(fold=fold), "c", "k") for fold in (None, [1, 3], [2, 3])}
    assert len(digests) == 3


@pytest.mark.parametrize("fold", [[0, 5], [6, 5], [1, 2], [1, -3]])
def test_a_fold_is_one_of_at_least_three(fold: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"prepare.fold = .*write \[NUMBER, FOLDS\], such as \[1, 5\]"):
        prepare_config(fold=fold)
