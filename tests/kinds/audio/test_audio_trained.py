"""Sounds from their files to answers, clips and recordings, with the network and the augmentation that come along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from sound_samples import build_sounds, write_classes
from team_helpers import check_shared, one_thread
from training_helpers import train_to_end

from pipeline.config import composed
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.data.views import Views, open_views, write_view_folder
from pipeline.kinds.keys import policy_section
from pipeline.schema.base import validated
from pipeline.schema.model import ModelConfig
from pipeline.schema.train import TrainConfig
from pipeline.train.keeper import Keeper
from pipeline.train.module import run_to_end
from pipeline.train.program import program_of
from pipeline.train.training import Training
from pipeline.train.tree import Team

__all__ = ["one_thread"]

CPU = torch.device("cpu")
CONF = Path(__file__).resolve().parents[3] / "conf"


def planned(
    values: dict[str, Any], dataset: Dataset, views: Views, epochs: int, team: Team | None = None, **changes: Any
) -> Training:
    train = values["train"] | {"epochs": epochs, "batch_size": 8, "learning_rate": 0.01} | changes
    model = validated(ModelConfig, values["model"] | {"keys": {"width": 8, "dropout": 0.1}}, "model")
    program, lane = program_of(model, validated(TrainConfig, train, "train"), dataset.manifest)
    return Training(program, [lane], dataset, [views], CPU, team)


def views_in(values: dict[str, Any], dataset: Dataset, folder: Path) -> Views:
    folder.mkdir()
    write_view_folder(dataset, policy_section(values).scaled(), folder, CPU)
    return open_views(folder)


def trained(values: dict[str, Any], dataset: Dataset, folder: Path, epochs: int, **changes: Any) -> Training:
    training = planned(values, dataset, views_in(values, dataset, folder), epochs, **changes)
    run_to_end(training, Keeper())
    return training


def shared(folder: str, views: str, team: Team | None = None) -> Training:
    values = composed(CONF, ["data=audio"])
    return planned(values, open_dataset(Path(folder)), open_views(Path(views)), 3, team, shards=4, mixup=0.2)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_workers_that_stop_and_go_on_give_the_bits_of_one(size: int, tmp_path: Path, one_thread: None) -> None:
    dataset = build_sounds(write_classes(tmp_path / "data", 20, seconds=0.6), tmp_path / "built", window=0.3, hop=0.2)
    values = composed(CONF, ["data=audio"])
    views = views_in(values, dataset, tmp_path / "views")
    alone = train_to_end(planned(values, dataset, views, 3, shards=4, mixup=0.2))
    check_shared(size, alone, shared, (str(tmp_path / "built"), str(tmp_path / "views")), tmp_path)


def test_blended_sounds_are_learned(tmp_path: Path) -> None:
    dataset = build_sounds(write_classes(tmp_path / "data", 20, seconds=0.6), tmp_path / "built")
    values = composed(CONF, ["data=audio", "augment.strength=0"])
    training = trained(values, dataset, tmp_path / "views", 30, mixup=0.2)
    assert training.judged(dataset.split("test"))[0]["accuracy"] == 1.0


@pytest.mark.parametrize("windows", [{}, {"window": 0.3, "hop": 0.2}])
def test_tones_are_told_apart_the_same_way_each_time_and_from_stored_views(windows: dict[str, float], tmp_path: Path) -> None:
    values = composed(CONF, ["data=audio"])
    dataset = build_sounds(write_classes(tmp_path / "data", 20, seconds=0.6), tmp_path / "built", **windows)
    assert (dataset.manifest.windows is None) == (not windows)
    made = []
    for views, epochs in ((0, 2), (0, 2), (3, 20)):
        values["augment"]["views"] = views
        made.append(trained(values, dataset, tmp_path / f"{len(made)}", epochs))
    assert torch.equal(made[0].net.flat, made[1].net.flat)
    assert made[2].judged(dataset.split("test"))[0]["accuracy"] == 1.0
