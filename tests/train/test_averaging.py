"""Averaged weights: the mean that is asked for, judged and kept, exact after every stop, in any stack."""

import pytest
import torch
from pytorch_lightning import Callback
from training_helpers import equal, gone_on, interrupted, lane, train_one_epoch, train_to_end, training

from pipeline.train.keeper import Keeper
from pipeline.train.module import run_to_end
from pipeline.train.watching import Watching

LANES = [lane(0, ema=0.9), lane(0), lane(1, ema=0.5)]


def test_it_is_the_exponential_mean_over_steps(digits):
    trained = training(digits, LANES)
    mean = trained.net.flat.double().clone()
    decays, steps = [0.9, 0.0, 0.5], 0

    def note():
        nonlocal steps
        for k, decay in enumerate(decays):
            share = 1 - min(decay, (1 + steps) / (10 + steps))
            mean[k] += share * (trained.net.flat[k] - mean[k])
        steps += 1

    trained.train_epoch(note)
    assert steps > 15, "the decay itself is reached, too"
    for k in (0, 2):
        torch.testing.assert_close(trained.averaged.of(k, trained.net.flat).double(), mean[k], rtol=1e-4, atol=1e-6)
    assert torch.equal(trained.averaged.of(1, trained.net.flat), trained.net.flat[1])


def test_the_mean_is_what_is_judged_and_kept(digits):
    trained = training(digits, LANES, epochs=1)
    train_one_epoch(trained)
    means = [trained.averaged.of(k, trained.net.flat).clone() for k in range(3)]
    assert all(torch.equal(trained.best.flat[k], means[k]) for k in range(3))
    assert not torch.equal(trained.net.flat[0], means[0])
    kept = [row["loss"] for row in trained.judged(digits.split("val"))]
    assert kept == [rows[-1]["loss"] for rows in trained.rows], "the best weights answer as they did when they were judged"


def test_it_resumes_exactly_and_each_run_is_as_alone(digits):
    whole = train_to_end(training(digits, LANES))
    again = gone_on(interrupted(training(digits, LANES), 23), training(digits, LANES))
    assert all(equal(whole, k, again, k) for k in range(3))
    assert torch.equal(whole.averaged.flat[0], again.averaged.flat[0])
    assert all(equal(whole, k, train_to_end(training(digits, [own]))) for k, own in enumerate(LANES))


def test_running_statistics_are_averaged_like_weights(digits, own_modules):
    changes = {"module": "cnn", "epochs": 2, "batch_size": 100, "shards": 4}
    trained = train_to_end(training(digits, [lane(0, ema=0.9)], **changes))
    buffers = slice(trained.num_stepped, None)
    assert not torch.equal(trained.averaged.flat[0, buffers], trained.net.flat[0, buffers])
    judged = trained.judged(digits.split("val"))[0]["loss"]
    assert judged == pytest.approx(min(row["loss"] for row in trained.rows[0] if row["split"] == "val"), rel=1e-6)


def test_a_callback_that_only_watches_is_not_blamed_for_means_that_stand_in(digits):
    trained = training(digits, LANES[:1], epochs=1)
    run_to_end(trained, Keeper(), watching=Watching([Callback()], names=["idle"]))
    assert trained.done
