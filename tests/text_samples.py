"""Small sets of texts and what becomes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_samples import prepare_config

from pipeline.config import composed
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.kinds.ragged import Ragged
from pipeline.kinds.text.keys import TextData, TextPolicy
from pipeline.prepare.build import build_dataset
from pipeline.schema.base import validated

GOOD = ("a fine film", "well played and well told", "I laughed all evening", "a joy to see, twice")
BAD = ("a dull film", "badly played and too long", "I slept all evening", "a bore to see, once")


def text_config(**changes: Any) -> TextData:
    return validated(TextData, composed(overrides=["data=text"])["data"] | changes, "data")


def policy(**changes: Any) -> TextPolicy:
    return validated(TextPolicy, composed(overrides=["data=text"])["augment"] | changes, "augment")


def reviews(num: int = 120) -> list[tuple[str, str]]:
    """Different texts, of which words say the label."""
    return [(f"{(BAD if i % 2 else GOOD)[i // 2 % 4]} on day {i} of {7 * i % 31}", ("good", "bad")[i % 2]) for i in range(num)]


def write_jsonl(path: Path, rows: Sequence[tuple[str, str]]) -> Path:
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=i % 2 == 0) for i, (text, label) in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def ragged(texts: Sequence[str]) -> Ragged:
    return Ragged.of([torch.from_numpy(np.frombuffer(text.encode(), np.uint8).copy()) for text in texts])


def texts_in(dataset: Dataset) -> set[str]:
    splits = [dataset.split(name) for name in ("train", "val", "test")]
    return {split.sample(i).tobytes().decode() for split in splits for i in range(len(split))}


@pytest.fixture
def build_texts(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Dataset]:
    """Build a dataset from keys of `data`, and of `prepare` in a dict; by default in this process alone."""

    def call(prepare: dict[str, Any] | None = None, workers: int = 1, **data: Any) -> Dataset:
        folder = tmp_path_factory.mktemp("dataset")
        build_dataset(text_config(**data), prepare_config(**prepare or {}), folder, "code", workers)
        return open_dataset(folder)

    return call
