"""The way from a configuration to a dataset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from data_samples import data_config, prepare_config

from pipeline.data.build import build_dataset
from pipeline.data.dataset import Dataset, open_dataset


@pytest.fixture
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Dataset]:
    """Build a dataset from keys of `data`, and of `prepare` in a dict; by default in this process alone."""

    def call(source: str, prepare: dict[str, Any] | None = None, workers: int = 1, **data: Any) -> Dataset:
        folder = tmp_path_factory.mktemp("dataset")
        build_dataset(data_config(source, **data), prepare_config(**prepare or {}), folder, "code", workers)
        return open_dataset(folder)

    return call
