"""The train stage says where it does not do what it was asked to."""

from pathlib import Path

import pytest
import yaml
from run_helpers import configs

from pipeline.config import checked, composed, with_key
from pipeline.overrides import Overrides, candidate
from pipeline.schema.train import TrainConfig
from pipeline.stages.train import note_warmup
from pipeline.train.program import batch_note, program_of

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = yaml.safe_load((ROOT / "conf/train/default.yaml").read_text())


def test_a_warmup_that_is_cut_short_is_said_and_no_other(capsys):
    note_warmup(TrainConfig(**DEFAULT))
    assert capsys.readouterr().out == ""
    note_warmup(TrainConfig(**DEFAULT | {"epochs": 1}))
    said = capsys.readouterr().out
    assert said == "train.warmup_epochs = 2: 0.5 are taken, half of train.epochs = 1\n"


@pytest.mark.parametrize(
    ("asked", "said"),
    [(64, "train.batch_size = 64: 4 are taken, since there are 21 training samples"), (21, None)],
)
def test_a_batch_that_is_smaller_is_said_and_no_other(digits, asked, said):
    model, train = configs(train__batch_size=asked, train__limit=21)
    assert batch_note(train, program_of(model, train, digits.manifest)[0], digits.manifest) == said


def test_one_epoch_is_allowed_whatever_the_warmup():
    with candidate(Overrides(), ROOT / "conf") as conf:
        values = composed(conf)
    assert checked(with_key(values, "train.epochs", 1)).train.warmup_taken == 0.5
