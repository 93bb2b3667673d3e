"""What happens beside the steps of a training, as Lightning's callbacks: saving, stopping, showing, and a user's own."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl

from pipeline.errors import ConfigError, Stopped
from pipeline.train.keeper import Keeper
from pipeline.train.stopping import StopRequest
from pipeline.train.training import Training

GO, SAVE, STOP = DECISIONS = ("go", "save", "stop")
WORD_EVERY_S = 0.25
"""So often a team's first worker tells the others whether to save or to stop."""


class Decider:
    """When to save and when to stop: decided here, or for a whole team by its first worker, a few times a second.

    Saving and stopping are for all workers after the same block, so the others follow the first one's word; it says when
    the next word comes, in blocks, so that blocks between two words exchange nothing but gradients.
    """

    def __init__(self, training: Training, keeper: Keeper, stop: StopRequest) -> None:
        self.training, self.keeper, self.stop = training, keeper, stop
        self.saved = self.said = time.monotonic()
        self.taken, self.gap = 0, 1
        """Blocks since the last word, and how many of them there are to be until the next."""

    def after_block(self) -> str:
        """What to do now: GO, SAVE or STOP."""
        self.taken += 1
        if self.training.team.size > 1 and self.taken < self.gap:
            return GO
        return self._agreed(STOP if self.stop.signal else SAVE if self.keeper.save_every_s and self._due() else GO)

    def after_epoch(self) -> str:
        """The same at the border of two epochs, where a stop waits for the next block."""
        return self._agreed(SAVE if self._due() else GO)

    def _due(self) -> bool:
        return time.monotonic() - self.saved > self.keeper.save_every_s

    def _agreed(self, own: str) -> str:
        if self.training.team.size == 1:
            return own
        seconds, self.said = time.monotonic() - self.said, time.monotonic()
        gap = min(2 * self.taken, round(self.taken * WORD_EVERY_S / max(seconds, 1e-6)))
        words = [DECISIONS.index(own), max(1, gap), self.stop.signal or 0]
        number, self.gap, asked = self.training.team.told(words, self.training.device)
        self.taken = 0
        if asked:  # else a stop may have come during the exchange: it is for the next word
            self.stop.signal = signal.Signals(asked)
        return DECISIONS[number]


class Keeping(pl.Callback):
    """Has a `Keeper` save, show and record, and stops where a stop is asked for."""

    def __init__(
        self,
        training: Training,
        keeper: Keeper,
        stop: StopRequest,
        untouched: Untouched,
        flush: Callable[[], int] | None = None,
    ) -> None:
        """flush: writes what other callbacks have logged; how many rows that makes in all."""
        self.training, self.keeper, self.stop, self.untouched, self.flush = training, keeper, stop, untouched, flush
        self.decider = Decider(training, keeper, stop)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Between two blocks."""
        self.untouched.check(trainer)
        self.keeper.after_block(self.training)
        decision = self.decider.after_block()
        if decision == STOP:
            raise self.stopped()
        if decision == SAVE:
            self.save()

    def on_validation_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Between two epochs."""
        self.untouched.check(trainer)
        self.keeper.after_epoch(self.training)
        if self.decider.after_epoch() == SAVE:
            self.save()

    def stopped(self) -> Stopped:
        """Save and say where the run stands."""
        self.save()
        progress = self.training.progress
        return self.stop.error(f"in epoch {progress.epoch + 1} after step {progress.step}; the same command goes on from there")

    def save(self) -> None:
        """Keep the state, with how many rows have been logged until then."""
        if self.flush:
            self.training.progress.num_logged = self.flush()
        self.keeper.save()
        self.decider.saved = time.monotonic()


CHANGING = {
    "EarlyStopping": "say train.early_stop=N",
    "Checkpoint": "the best weights and the resume state are kept by themselves",
    "ModelCheckpoint": "the best weights and the resume state are kept by themselves",
    "OnExceptionCheckpoint": "the resume state is kept by itself",
    "GradientAccumulationScheduler": "say train.accumulate=N",
    "LearningRateFinder": "ask with a study of train.learning_rate",
    "BatchSizeFinder": "ask with a study of train.batch_size",
    "StochasticWeightAveraging": "say train.ema=0.99",
    "WeightAveraging": "say train.ema=0.99",
    "BaseFinetuning": "freeze parameters where the network is built",
    "ModelPruning": "weights are what training made them",
    "Timer": "say train.epochs=N; a stopped run goes on with the same command",
    "ProgressBar": "progress is shown already",
}
"""Lightning's callbacks that change weights, optimizers or the loop, or do what is done here: what to do instead."""
NOT_CALLED = ("on_before_backward", "on_after_backward", "on_before_optimizer_step", "on_before_zero_grad")
"""Hooks inside a step: several small steps are one batch of Lightning's."""


def check_watching(name: str, callback: object) -> pl.Callback:
    """The callback of this name, if it only watches; ConfigError where it is none or would change what is trained."""
    where = f"train.callbacks: {name!r} (extensions.py)"
    if not isinstance(callback, pl.Callback):
        raise ConfigError(f"{where} gives a {type(callback).__name__}, no callback of Lightning's")
    for kind in type(callback).__mro__:
        if kind.__module__.startswith("pytorch_lightning") and kind.__name__ in CHANGING:
            raise ConfigError(
                f"{where}: a {kind.__name__} would change the run, which then could not be repeated; {CHANGING[kind.__name__]}"
            )
    for hook in NOT_CALLED:
        if getattr(type(callback), hook) is not getattr(pl.Callback, hook):
            raise ConfigError(
                f"{where} has {hook}, which is not called: several small steps are one batch here; use on_train_batch_end"
            )
    return callback


class Untouched:
    """Looks whether a user's callbacks have left the training as it was; where there are none, it looks at nothing."""

    def __init__(self, training: Training, watching: Sequence[pl.Callback]) -> None:
        self.training, self.names = training, ", ".join(type(one).__name__ for one in watching)
        self.note()

    def note(self) -> None:
        """How things are now."""
        self.seen = self._now()

    def check(self, trainer: pl.Trainer) -> None:
        """ConfigError where they are otherwise, before anything of it is saved."""
        stopped = trainer.should_stop and not self.training.done
        if stopped or self._now() != self.seen:
            what = "has asked Lightning to stop" if stopped else "has changed weights, optimizer or learning rate"
            raise ConfigError(
                f"train.callbacks: one of {self.names} {what}: such a run could not be repeated; callbacks may only watch "
                "(to stop early say train.early_stop=N)"
            )

    def _now(self) -> list[Any]:
        """torch counts the changes of a tensor's memory, whichever view of it they go through."""
        if not self.names:
            return []
        own = self.training
        tensors = (own.net.flat, own.best.flat, own.averaged.flat, own.optimizer.first, own.optimizer.second)
        return [*(tensor._version for tensor in tensors), *(group["lr"] for group in own.optimizer.param_groups)]
