"""The time of a training by a trial of it, which leaves everything as it is."""

import dataclasses

import pytest
import torch
from training_helpers import NONE, lane, program

from pipeline.data.views import Views
from pipeline.kinds.image.keys import ImagePolicy
from pipeline.train.trial import MadeUp, expected_seconds


def seconds(digits, lanes=1, views=NONE, **changes):
    chosen = [lane(seed) for seed in range(lanes)]
    return expected_seconds(program(**changes), chosen, [views] * lanes, digits.manifest, "cpu", 1)


def test_a_trial_writes_nothing_and_leaves_the_threads(digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    assert seconds(digits) > 0
    assert torch.get_num_threads() == threads
    assert list(tmp_path.iterdir()) == []


def test_the_time_is_of_all_epochs_and_all_samples(digits):
    assert seconds(digits, epochs=1000) > 20 * seconds(digits, epochs=10)
    large = dataclasses.replace(digits.manifest, counts={"train": 10**7, "val": 10**6, "test": 1})
    long = expected_seconds(program(), [lane(0)], [NONE], large, "cpu", 1)
    assert long > 100 * seconds(digits), "and of what is too large to be tried whole"


def test_a_rate_that_diverges_and_a_run_that_would_stop_early_are_tried_to_the_end(digits):
    wild = [dataclasses.replace(lane(0), learning_rate=1e30, early_stop=1)]
    assert expected_seconds(program(), wild, [NONE], digits.manifest, "cpu", 1) > 0


@pytest.mark.parametrize("stored", [0, 2])
def test_augmentation_is_part_of_it(digits, stored):
    policy = ImagePolicy.model_construct(**{**NONE.policy.model_dump(), "rotate": 10.0, "views": stored})
    assert seconds(digits, views=Views([], policy, "turned")) > 0


def test_made_up_samples_are_of_the_datas_form(digits):
    split = MadeUp(digits.manifest, {"train": 7}).split("train")
    assert (split.inputs.shape, split.inputs.dtype, split.labels.shape) == ((7, 1, 8, 8), "uint8", (7,))
    several = dataclasses.replace(digits.manifest, task="multi")
    assert MadeUp(several, {"train": 7}).split("train").labels.shape == (7, 10)
