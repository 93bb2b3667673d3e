"""A table from its file to answers: what it is trained by knows nothing of tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from table_samples import policy, write_lines

from pipeline.config import composed
from pipeline.data.dataset import Dataset
from pipeline.data.views import open_views, write_view_folder
from pipeline.schema.base import validated
from pipeline.schema.model import ModelConfig
from pipeline.schema.train import TrainConfig
from pipeline.train.keeper import Keeper
from pipeline.train.module import run_to_end
from pipeline.train.program import program_of
from pipeline.train.training import Training

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def keys() -> dict[str, dict[str, object]]:
    return composed(overrides=["data=table"])


@pytest.mark.parametrize("redraw", [0.0, 0.05])
def test_what_exact_values_decide_is_learned(
    redraw: float, keys: dict[str, dict[str, object]], tmp_path: Path, build_table: Callable[..., Dataset]
) -> None:
    lines = [f"{(7 * i) % 11},{'xy'[i % 3 == 0]},{'ab'[(7 * i) % 11 in (2, 5, 6)]}" for i in range(600)]
    dataset = build_table(path=str(write_lines(tmp_path / "t.csv", "code,other,label", lines)), rare=5, ignore=[])
    write_view_folder(dataset, policy(redraw=redraw), tmp_path, CPU)
    train = validated(TrainConfig, keys["train"] | {"epochs": 12, "batch_size": 16, "learning_rate": 0.005}, "train")
    program, lane = program_of(validated(ModelConfig, keys["model"] | {"widths": [32]}, "model"), train, dataset.manifest)
    assert program.spec.input_shape == (dataset.manifest.fit["num_inputs"],)
    training = Training(program, [lane], dataset, [open_views(tmp_path)], CPU)
    run_to_end(training, Keeper())
    assert training.judged(dataset.split("test"))[0]["accuracy"] > 0.98
