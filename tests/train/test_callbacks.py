"""What happens beside the steps: who decides on saving and stopping, and a user's callbacks, which only watch."""

import signal
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint, TQDMProgressBar, WeightAveraging
from training_helpers import equal, lane, train_one_epoch, train_to_end, training

from pipeline.errors import ConfigError, Stopped
from pipeline.train.callbacks import GO, STOP, Decider, check_watching
from pipeline.train.keeper import Keeper
from pipeline.train.module import run_to_end
from pipeline.train.stopping import StopRequest
from pipeline.train.watching import Watching


class SlowTeam:
    """Of two, in which a stop is asked for while the first worker tells its word."""

    size = 2

    def __init__(self, stop):
        self.stop = stop

    def told(self, words, device):
        self.stop.signal = signal.SIGTERM
        return words


def test_a_stop_that_comes_while_workers_agree_is_heard_with_the_next_word():
    stop = StopRequest()
    own = SimpleNamespace(team=SlowTeam(stop), device=None)
    decider = Decider(own, SimpleNamespace(save_every_s=None), stop)
    assert (decider.after_block(), stop.signal) == (GO, signal.SIGTERM)
    decider.gap = 1
    assert decider.after_block() == STOP


class Counting(Callback):
    """What Lightning tells of where a training is."""

    def __init__(self):
        self.seen, self.rates = [], []

    def on_train_epoch_start(self, trainer, module):
        self.seen.append(("epoch", trainer.current_epoch, trainer.global_step))

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.seen.append(("batch", batch_idx, trainer.global_step))

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.rates.append((trainer.global_step, trainer.optimizers[0].param_groups[0]["lr"]))

    def on_validation_end(self, trainer, module):
        self.seen.append(("validation", trainer.current_epoch, trainer.global_step))
        self.metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}


WHOLE = [
    *(("epoch", 0, 0), ("batch", 0, 0), ("batch", 1, 16), ("validation", 0, 20)),
    *(("epoch", 1, 20), ("batch", 0, 20), ("batch", 1, 36), ("validation", 1, 40)),
    *(("epoch", 2, 40), ("batch", 0, 40), ("batch", 1, 56), ("validation", 2, 60)),
]
"""Three epochs of 20 steps, in blocks of 16 and 4."""


def test_callbacks_see_the_epoch_the_step_the_rate_and_the_measures(digits):
    watching, trained = Counting(), training(digits, [lane(0)], schedule="constant", warmup_epochs=1.0)
    run_to_end(trained, Keeper(), watching=Watching([watching]))
    assert watching.seen == WHOLE
    assert watching.rates[:3] == [(16, pytest.approx(2e-3 * 16 / 20)), (20, 2e-3), (36, 2e-3)]
    train, clean, val = trained.rows[0][-3:]
    expected = {
        f"{name}_{what}": row[what]
        for name, row in (("train", train), ("train_clean", clean), ("val", val))
        for what in ("loss", "accuracy")
    }
    assert watching.metrics == pytest.approx(expected)
    assert equal(trained, 0, train_to_end(training(digits, [lane(0)], schedule="constant", warmup_epochs=1.0)), 0)


@pytest.mark.parametrize(
    ("stop_after", "seen"),
    [
        (27, [("batch", 0, 27), ("batch", 1, 36), ("validation", 1, 40), *WHOLE[8:]]),
        (36, [("batch", 1, 36), ("validation", 1, 40), *WHOLE[8:]]),
        (38, [("batch", 1, 38), ("validation", 1, 40), *WHOLE[8:]]),
        (40, [("batch", 1, 40), ("validation", 1, 40), *WHOLE[8:]]),
    ],
)
def test_counters_are_right_where_a_training_goes_on_in_the_middle_of_an_epoch(digits, stop_after, seen):
    first = training(digits, [lane(0)])
    train_one_epoch(first)
    for block in first.blocks():
        first.take(replace(block, steps=range(block.steps[0], min(block.steps[-1] + 1, stop_after - 20))))
    second, watching = training(digits, [lane(0)]), Counting()
    second.restore(*first.state())
    second.rows = [list(rows) for rows in first.rows]
    run_to_end(second, Keeper(), watching=Watching([watching]))
    assert [one for one in watching.seen if one != ("epoch", 1, 27)] == seen
    assert equal(second, 0, train_to_end(training(digits, [lane(0)])), 0)


def test_a_stop_in_lightnings_loop_goes_on_to_the_same_bits(digits):
    class StopsOnce(Keeper):
        def after_block(self, trained):
            if trained.progress.epoch == 1:
                signal.raise_signal(signal.SIGTERM)

    first, whole = (training(digits, [lane(0), lane(1)]) for _ in range(2))
    with pytest.raises(Stopped, match="in epoch 2 after step 16"):
        run_to_end(first, StopsOnce())
    second = training(digits, [lane(0), lane(1)])
    second.restore(*first.state())
    second.rows = [list(rows) for rows in first.rows]
    run_to_end(second, Keeper())
    train_to_end(whole)
    assert all(equal(second, k, whole, k) for k in range(2))


@pytest.mark.parametrize(
    ("callback", "words"),
    [
        (EarlyStopping("val_loss"), "train.early_stop"),
        (ModelCheckpoint(), "kept by themselves"),
        (TQDMProgressBar(), "shown already"),
        (WeightAveraging(), "train.ema"),
        ("no callback", "gives a str, no callback"),
    ],
)
def test_callbacks_that_change_a_run_are_refused_by_name(callback, words):
    with pytest.raises(ConfigError, match=rf"train\.callbacks: 'mine'.*{words}"):
        check_watching("mine", callback)


def test_a_hook_that_is_not_called_is_refused():
    class Norms(Callback):
        def on_before_optimizer_step(self, *_):
            pass

    with pytest.raises(ConfigError, match=r"on_before_optimizer_step, which is not called.*on_train_batch_end"):
        check_watching("norms", Norms())
    check_watching("rates", LearningRateMonitor())


def change_weights(trainer, trained):
    trained.net.flat.mul_(0.5)


def change_rate(trainer, trained):
    trainer.optimizers[0].param_groups[0]["lr"] = 1.0


def stop(trainer, trained):
    trainer.should_stop = True


@pytest.mark.parametrize("hook", ["on_train_batch_start", "on_train_batch_end", "on_validation_end", "on_train_epoch_end"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_weights, "has changed weights"),
        (change_rate, "has changed weights, optimizer or learning rate"),
        (stop, "has asked Lightning to stop"),
    ],
)
def test_a_callback_that_changes_something_ends_the_run_by_name_and_nothing_of_it_is_saved(digits, hook, change, words):
    trained, saved = training(digits, [lane(0)]), []

    class Meddling(Callback):
        pass

    setattr(Meddling, hook, lambda self, trainer, *_: change(trainer, trained) if trainer.global_step >= 16 else None)

    class Saving(Keeper):
        save_every_s = -1.0

        def save(self):
            saved.append(trained.progress.step)

    with pytest.raises(ConfigError, match=rf"one of Meddling {words}.*only watch"):
        run_to_end(trained, Saving(), watching=Watching([Meddling()]))
    before = {
        "on_train_batch_end": [],
        "on_train_batch_start": [16],
        "on_validation_end": [16, 20],
        "on_train_epoch_end": [16, 20, 0],
    }
    assert saved == before[hook], "steps of their epoch"


def test_the_optimizer_takes_no_step_by_itself(digits):
    with pytest.raises(RuntimeError, match=r"Training\.take"):
        training(digits, [lane(0)]).optimizer.step()
    assert torch.is_tensor(training(digits, [lane(0)]).optimizer.param_groups[0]["params"][0])
