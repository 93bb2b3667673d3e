"""Lightning runs the training program: epochs, validation, devices. A batch of Lightning's is a whole epoch's steps.

Its hooks run at the borders of epochs; the steps inside run at the speed of a bare loop.
"""

from __future__ import annotations

import logging
import signal
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.exceptions import SIGTERMException

from pipeline.errors import Stopped
from pipeline.runs.state import Row
from pipeline.train.keeper import Keeper
from pipeline.train.stopping import StopRequest
from pipeline.train.training import Training

GO, SAVE, STOP = DECISIONS = ("go", "save", "stop")
WORD_EVERY_S = 0.25
"""So often a team's first worker tells the others whether to save or to stop."""


class Once:
    """What Lightning takes for a loader: the given items, one by one (it would take a plain list for several loaders)."""

    def __init__(self, *items: str) -> None:
        self.items = items

    def __iter__(self) -> Iterator[str]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class Decider:
    """When to save and when to stop: decided here, or for a whole team by its first worker, a few times a second.

    Saving and stopping are for all workers after the same step, so the others follow the first one's word; it says when the
    next word comes, in steps, so that steps between two words exchange nothing but gradients.
    """

    def __init__(self, training: Training, keeper: Keeper, stop: StopRequest) -> None:
        self.training, self.keeper, self.stop = training, keeper, stop
        self.saved = self.said = time.monotonic()
        self.taken, self.gap = 0, 1
        """Steps since the last word, and how many of them there are to be until the next."""

    def after_step(self) -> str:
        """What to do now: GO, SAVE or STOP."""
        self.taken += 1
        if self.training.team.size > 1 and self.taken < self.gap:
            return GO
        return self._agreed(STOP if self.stop.signal else SAVE if self.keeper.save_every_s and self._due() else GO)

    def after_epoch(self) -> str:
        """The same at the border of two epochs, where a stop waits for the next step."""
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


class TrainingModule(pl.LightningModule):
    """A `Training` as Lightning's program."""

    def __init__(self, training: Training, keeper: Keeper, stop: StopRequest) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.training_program, self.keeper, self.stop = training, keeper, stop
        self.decider = Decider(training, keeper, stop)
        self.measures: dict[str, list[Row]] = {}

    def configure_optimizers(self) -> None:
        """None of Lightning's: each stacked run has its own settings."""

    def training_step(self, _batch: Any, _index: int) -> None:
        """The rest of an epoch."""
        self.training_program.train_epoch(self._after_step)

    def validation_step(self, batch: str, _index: int) -> None:
        """One held-out set, whole."""
        started = time.perf_counter()
        self.measures[batch] = self.training_program.evaluate(batch)
        self.training_program.progress.seconds += time.perf_counter() - started

    def on_validation_epoch_end(self) -> None:
        """The border of two epochs."""
        started = time.perf_counter()
        self.training_program.end_epoch(self.measures)
        self.training_program.progress.seconds += time.perf_counter() - started
        self.keeper.after_epoch(self.training_program)
        if self.decider.after_epoch() == SAVE:
            self._save()
        self.trainer.should_stop = self.training_program.done

    def _after_step(self) -> None:
        decision = self.decider.after_step()
        if decision == STOP:
            raise self.stopped()
        if decision == SAVE:
            self._save()
        self.keeper.after_step(self.training_program)

    def stopped(self) -> Stopped:
        """Save and say where the run stands."""
        self._save()
        progress = self.training_program.progress
        return self.stop.error(f"in epoch {progress.epoch + 1} after step {progress.step}; the same command goes on from there")

    def _save(self) -> None:
        self.keeper.save()
        self.decider.saved = time.monotonic()


def run_to_end(training: Training, keeper: Keeper, stop: StopRequest | None = None) -> None:
    """Train until every run has ended. Raises Stopped after a signal (its state is saved), NumericsError, PeerLost."""
    stop = stop or StopRequest()
    module = TrainingModule(training, keeper, stop)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on loaders and loggers, of which there are none here
        trainer = pl.Trainer(
            accelerator="gpu" if training.device.type == "cuda" else "cpu",
            devices=1,
            max_epochs=training.program.epochs - training.progress.epoch,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            inference_mode=False,
        )
        if not training.done:
            with stop.listening():
                try:
                    trainer.fit(module, train_dataloaders=Once("epoch"), val_dataloaders=Once("train_clean", "val"))
                except SIGTERMException as error:  # raised between steps, where Lightning would exit with status 0
                    raise module.stopped() from error
            if stop.signal is not None and not training.done:
                raise module.stopped()
    keeper.save()
