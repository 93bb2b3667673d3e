"""What a configuration becomes, and the learning rate over the steps."""

import dataclasses
import os

import pytest
import torch
from run_helpers import configs
from training_helpers import lane, program

from pipeline.errors import ConfigError
from pipeline.runs.identity import identity
from pipeline.train.program import crowded_note, program_of, rate_factor, threads_for


def test_what_runs_share_and_what_is_their_own(digits):
    one = program_of(*configs(), digits.manifest)
    other = program_of(*configs(model__dropout=0.5, train__seed=9, train__learning_rate=0.1), digits.manifest)
    assert one[0] == other[0]
    assert (other[1].seed, other[1].dropout, other[1].learning_rate) == (9, 0.5, 0.1)
    assert program_of(*configs(model__widths=[8]), digits.manifest)[0] != one[0]


def test_two_classes_make_one_logit(digits):
    two = dataclasses.replace(digits.manifest, classes=["no", "yes"])
    assert program_of(*configs(), two)[0].spec.num_outputs == 1
    assert program_of(*configs(model__loss="softmax"), two)[0].spec.num_outputs == 2
    several = dataclasses.replace(digits.manifest, task="multi")
    assert program_of(*configs(), several)[0].loss == "sigmoid"


@pytest.mark.parametrize("mode", ["weights", "logits"])
def test_numbers_are_not_balanced(digits, mode):
    fit = {"mean": [4.5], "std": [2.9]}
    numbers = dataclasses.replace(digits.manifest, task="number", classes=[], targets=["digit"], target_fit=fit)
    said = f"train.balance = '{mode}': the labels are numbers, and only classes can be balanced; say train.balance=none"
    with pytest.raises(ConfigError, match=said):
        program_of(*configs(train__balance=mode), numbers)
    assert program_of(*configs(), numbers)[0].balance is None


@pytest.mark.parametrize(("task", "what"), [("multi", "several labels a sample"), ("number", "numbers")])
def test_samples_of_each_class_need_one_class_a_sample(digits, task, what):
    other = dataclasses.replace(digits.manifest, task=task)
    with pytest.raises(ConfigError, match=f"train.per_class = 5: the data has {what}, not one of .* say train.limit=N instead"):
        program_of(*configs(train__per_class=5), other)


def test_samples_of_each_class_are_all_of_a_class_that_has_fewer(digits):
    few = dataclasses.replace(digits.manifest, class_counts={"train": [100] * 9 + [3]})
    program, _ = program_of(*configs(train__per_class=5), few)
    assert (program.limit, program.per_class, program.batch_size) == (48, 5, 8)
    every, _ = program_of(*configs(train__per_class=1000), digits.manifest)
    assert (every.limit, every.per_class) == (None, None)


def test_an_empty_validation_split_is_refused(digits):
    with pytest.raises(ConfigError, match="the validation split is empty"):
        program_of(*configs(), dataclasses.replace(digits.manifest, counts={"train": 100, "val": 0, "test": 0}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"train__batch_size": 64, "train__limit": 21, "train__shards": 32},
            "train.shards x train.accumulate = 32: there are 21 training samples, and .* choose at most that",
        ),
        ({"model__loss": "sigmoid"}, "model.loss = 'sigmoid': the data has one of 10 classes"),
        ({"model__arch": "cnn"}, r"model.channels = \[\]: .* a cnn needs at least one, such as"),
        ({"model__channels": [4]}, r"model.channels = \[4\]: .* a dnn has none; say \[\]"),
    ],
)
def test_what_does_not_fit_the_data_is_refused(digits, changes, said):
    with pytest.raises(ConfigError, match=said):
        program_of(*configs(**changes), digits.manifest)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train__shards": 3}, "must be a power of two"),
        ({"train__shards": 64, "train__accumulate": 4}, "must not exceed batch_size"),
        ({"train__limit": 50, "train__per_class": 5}, "limit = 50 beside per_class = 5: say one of them"),
        ({"train__balance": "weights", "train__per_class": 5}, "per_class = 5: takes as many of each class already"),
        ({"train__learning_rate": -1.0}, "train.learning_rate = -1.0: should be greater than 0"),
        ({"model__activation": "rleu"}, "model.activation = 'rleu': should be 'relu'"),
    ],
)
def test_what_is_out_of_range_is_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        configs(**changes)


@pytest.mark.parametrize(
    ("epochs", "asked", "taken"),
    [(40, 2.0, 2.0), (4, 2.0, 2.0), (3, 2.0, 1.5), (1, 2.0, 0.5), (1, 0.25, 0.25), (10, 100.0, 5.0)],
)
def test_the_warmup_is_at_most_half_of_the_epochs(digits, epochs, asked, taken):
    model, train = configs(train__epochs=epochs, train__warmup_epochs=asked)
    assert program_of(model, train, digits.manifest)[0].warmup_epochs == taken


@pytest.mark.parametrize(
    ("num", "asked", "shards", "taken"),
    [(21, 64, 1, 4), (64, 64, 1, 64), (63, 64, 1, 8), (64, 65, 1, 16), (3, 64, 1, 1), (1, 64, 1, 1), (21, 64, 8, 8)],
)
def test_a_small_dataset_needs_no_other_batch_size(digits, num, asked, shards, taken):
    model, train = configs(train__batch_size=asked, train__shards=shards)
    small = dataclasses.replace(digits.manifest, counts={"train": num, "val": 9, "test": 9})
    assert program_of(model, train, small)[0].batch_size == taken
    limited = train.model_copy(update={"limit": num})
    assert program_of(model, limited, digits.manifest)[0].batch_size == taken


def test_one_epoch_rises_and_falls(digits):
    one = program_of(*configs(train__epochs=1), digits.manifest)[0]
    factors = [rate_factor(one, step, 10) for step in range(10)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5] == 1.0
    assert 0 < factors[-1] < 0.2


def test_the_warmup_of_the_default_is_that_of_its_first_steps(digits):
    default = program_of(*configs(), digits.manifest)[0]
    factors = [rate_factor(default, step, 23) for step in range(47)]
    assert factors[:46] == pytest.approx([i / 46 for i in range(1, 47)])
    assert factors[45] == factors[46] == 1.0


def test_a_run_too_short_for_its_warmup_is_not_the_beginning_of_a_longer_one():
    short, shorter, long = (
        identity(*configs(train__epochs=epochs), "image", "data", "views", "cpu").without_epochs for epochs in (4, 1, 40)
    )
    assert short == long != shorter


def test_one_cycle_is_torchs_own():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    torchs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=101, pct_start=21 / 101, cycle_momentum=False
    )
    own = program(schedule="one_cycle", epochs=10, warmup_epochs=2.0)
    for step in range(100):
        optimizer.step()
        torchs.step()
        assert rate_factor(own, step, 10) == pytest.approx(torchs.get_last_lr()[0], abs=0.03), step


def test_schedules():
    constant = [rate_factor(program(schedule="constant", epochs=4, warmup_epochs=1.0), step, 10) for step in range(40)]
    assert constant[:10] == pytest.approx([i / 10 for i in range(1, 11)])
    assert set(constant[10:]) == {1.0}
    cosine = [rate_factor(program(schedule="cosine", epochs=4, warmup_epochs=1.0), step, 10) for step in range(40)]
    assert cosine[10] == 1.0
    assert cosine[25] == pytest.approx(0.5)
    assert 0 < cosine[-1] < 0.01
    assert cosine[10:] == sorted(cosine[10:], reverse=True)
    assert lane().learning_rate == 2e-3


def test_threads_that_share_cores_with_others_are_said_and_stay_as_many():
    assert crowded_note(1, 2.0) is None
    assert crowded_note(2, 0.3) is None
    assert "other programs take 1.5 of this machine's cores, and 2 threads" in crowded_note(2, 1.5)
    large = program(widths=(2048, 2048), batch_size=512)
    assert threads_for(large) == len(os.sched_getaffinity(0))
    assert threads_for(large, shards=2) == 1
    assert threads_for(large, asked=3, shards=2) == 3
    assert threads_for(program()) == 1
