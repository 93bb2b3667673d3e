"""Sounds from their files to answers, clips and recordings, with the network and the augmentation that come along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from sound_samples import build_sounds, write_classes

from pipeline.config import composed
from pipeline.data.dataset import Dataset
from pipeline.data.views import open_views, write_view_folder
from pipeline.kinds.keys import policy_section
from pipeline.schema.base import validated
from pipeline.schema.model import ModelConfig
from pipeline.schema.train import TrainConfig
from pipeline.train.keeper import Keeper
from pipeline.train.module import run_to_end
from pipeline.train.program import program_of
from pipeline.train.training import Training

CPU = torch.device("cpu")


def trained(values: dict[str, Any], dataset: Dataset, folder: Path, epochs: int) -> Training:
    policy = policy_section(values).scaled()
    write_view_folder(dataset, policy, folder, CPU)
    train = validated(TrainConfig, values["train"] | {"epochs": epochs, "batch_size": 8, "learning_rate": 0.01}, "train")
    model = validated(ModelConfig, values["model"] | {"keys": {"width": 8, "dropout": 0.0}}, "model")
    program, lane = program_of(model, train, dataset.manifest)
    training = Training(program, [lane], dataset, [open_views(folder)], CPU)
    run_to_end(training, Keeper())
    return training


@pytest.mark.parametrize("windows", [{}, {"window": 0.3, "hop": 0.2}])
def test_tones_are_told_apart_the_same_way_each_time_and_from_stored_views(windows: dict[str, float], tmp_path: Path) -> None:
    values = composed(overrides=["data=audio"])
    dataset = build_sounds(write_classes(tmp_path / "data", 20, seconds=0.6), tmp_path / "built", **windows)
    assert (dataset.manifest.windows is None) == (not windows)
    made = []
    for views, epochs in ((0, 2), (0, 2), (3, 20)):
        values["augment"]["views"] = views
        (tmp_path / f"{len(made)}").mkdir()
        made.append(trained(values, dataset, tmp_path / f"{len(made)}", epochs))
    assert torch.equal(made[0].net.flat, made[1].net.flat)
    assert made[2].judged(dataset.split("test"))[0]["accuracy"] == 1.0
