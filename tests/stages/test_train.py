"""The train stage says where it does not do what it was asked to."""

from pathlib import Path

import yaml

from pipeline.config import checked, composed, with_key
from pipeline.overrides import Overrides, candidate
from pipeline.schema.train import TrainConfig
from pipeline.stages.train import note_warmup

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = yaml.safe_load((ROOT / "conf/train/default.yaml").read_text())


def test_a_warmup_that_is_cut_short_is_said_and_no_other(capsys):
    note_warmup(TrainConfig(**DEFAULT))
    assert capsys.readouterr().out == ""
    note_warmup(TrainConfig(**DEFAULT | {"epochs": 1}))
    said = capsys.readouterr().out
    assert said == "train.warmup_epochs = 2: 0.5 are taken, half of train.epochs = 1\n"


def test_one_epoch_is_allowed_whatever_the_warmup():
    with candidate(Overrides(), ROOT / "conf") as conf:
        values = composed(conf)
    assert checked(with_key(values, "train.epochs", 1)).train.warmup_taken == 0.5
