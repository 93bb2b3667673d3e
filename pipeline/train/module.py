"""Lightning runs the training program: epochs, validation, devices. A batch of Lightning's is a whole epoch's steps.

Its hooks run at the borders of epochs; the steps inside run at the speed of a bare loop.
"""

from __future__ import annotations

import logging
import math
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.exceptions import SIGTERMException

from pipeline.errors import Stopped
from pipeline.train.training import Row, Training


class Once:
    """What Lightning takes for a loader: the given items, one by one (it would take a plain list for several loaders)."""

    def __init__(self, *items: str) -> None:
        self.items = items

    def __iter__(self) -> Iterator[str]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class StopRequest:
    """Ctrl-C and SIGTERM ask for a stop after the current step; a second Ctrl-C stops at once (files stay whole)."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen while the block runs; outside of the main thread signals are the caller's."""
        try:
            before = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is signal.SIGINT and number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
        self.signal = signal.Signals(number)


class Keeper:
    """Who keeps and shows the progress of a training; this one does neither."""

    save_every_s = math.inf
    """0: save after each epoch."""

    def save(self) -> None:
        """Keep the state."""

    def after_step(self, training: Training) -> None:
        """A step has ended."""

    def after_epoch(self, training: Training) -> None:
        """An epoch has ended and is in the records."""


class TrainingModule(pl.LightningModule):
    """A `Training` as Lightning's program."""

    def __init__(self, training: Training, keeper: Keeper, stop: StopRequest) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = training.network
        self.training_program, self.keeper, self.stop = training, keeper, stop
        self.last_save = time.monotonic()
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
        if time.monotonic() - self.last_save > self.keeper.save_every_s:
            self._save()
        self.trainer.should_stop = self.training_program.done

    def _after_step(self) -> None:
        if self.stop.signal is not None:
            raise self.stopped()
        if self.keeper.save_every_s and time.monotonic() - self.last_save > self.keeper.save_every_s:
            self._save()
        self.keeper.after_step(self.training_program)

    def stopped(self) -> Stopped:
        """Save and say where the run stands."""
        self._save()
        assert self.stop.signal is not None
        name = "Ctrl-C" if self.stop.signal is signal.SIGINT else self.stop.signal.name
        progress = self.training_program.progress
        return Stopped(
            f"stopped by {name} in epoch {progress.epoch + 1} after step {progress.step}; the same command goes on from there"
        )

    def _save(self) -> None:
        self.keeper.save()
        self.last_save = time.monotonic()


def run_to_end(training: Training, keeper: Keeper) -> None:
    """Train until every run has ended. Raises Stopped after a signal (its state is saved) and NumericsError."""
    stop = StopRequest()
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
