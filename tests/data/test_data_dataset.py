"""What a dataset says of its samples."""

import dataclasses

import numpy as np
from data_samples import class_folders

from pipeline.data.dataset import label_name


def test_label_names(tmp_path, build):
    single = build("folder", path=str(class_folders(tmp_path, classes=("a", "b", "c")))).manifest
    assert label_name(np.int64(1), single) == "b"
    several = dataclasses.replace(single, task="multi")
    assert label_name(np.array([1, 0, 1], dtype=np.uint8), several) == "a, c"
    assert label_name(np.zeros(3, dtype=np.uint8), several) == "(none)"
    numbers = dataclasses.replace(single, task="number", classes=[], targets=["price", "rooms"])
    assert label_name(np.array([1200000.0, 3.5]), numbers) == "1200000, 3.5"


def test_as_many_training_samples_are_taken_as_there_are_and_the_limit_allows(tmp_path, build):
    manifest = build("folder", path=str(class_folders(tmp_path, classes=("a", "b")))).manifest
    every = manifest.counts["train"]
    assert [manifest.num_train(limit) for limit in (None, every + 1, every, 3)] == [every, every, every, 3]
    assert manifest.num_train(None, 2) == sum(min(2, num) for num in manifest.class_counts["train"])
