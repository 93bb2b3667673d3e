"""A `Training` as Lightning runs it: a module, its loaders and its strategy.

A batch of Lightning's is a block of steps: up to 16 small ones, or a single step of a large network. So Lightning costs
what it costs a batch, and small steps run at the speed of a bare loop.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.utilities.exceptions import SIGTERMException

from pipeline.metrics import in_row
from pipeline.runs.state import Row
from pipeline.train.batches import Block
from pipeline.train.callbacks import Keeping, Untouched
from pipeline.train.keeper import Keeper
from pipeline.train.optimizer import LaneOptimizer
from pipeline.train.stopping import StopRequest
from pipeline.train.training import Training
from pipeline.train.watching import NOBODY, Watching

NO_ADVICE = (
    r".*LeafSpec.* is deprecated",  # a name of torch's that Lightning still uses
    r".*LearningRateMonitor.* no learning rate schedulers",  # the rate is set step by step
)
HELD_OUT = ("train_clean", "val")
"""What is measured after each epoch."""


class EndOfEpoch:
    """A batch without steps: stopped after the last step of an epoch, a training goes on with its end."""


class Blocks:
    """The training loader: in the epoch that a training is resumed in, the rest of its blocks."""

    def __init__(self, training: Training) -> None:
        self.training = training

    def __iter__(self) -> Iterator[Block | EndOfEpoch]:
        if self.training.progress.step == self.training.steps_per_epoch:
            yield EndOfEpoch()
        yield from self.training.blocks()

    def __len__(self) -> int:
        return len(self.training.batches.blocks(0))

    # Lightning asks for these two where an epoch is resumed in its middle. Here the training itself knows its place.
    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        return


class Names:
    """The validation loader: what is measured (Lightning would take a plain list for several loaders)."""

    def __iter__(self) -> Iterator[str]:
        return iter(HELD_OUT)

    def __len__(self) -> int:
        return len(HELD_OUT)


class TrainingModule(pl.LightningModule):
    """Steps, validation and the optimizer of K stacked runs; what is logged is the mean over them."""

    def __init__(self, training: Training, untouched: Untouched) -> None:
        super().__init__()
        self.untouched = untouched
        self.automatic_optimization = False  # gradients are summed over shards and workers in one fixed tree
        self.training_program = training
        self.measures: dict[str, list[Row]] = {}

    def configure_optimizers(self) -> LaneOptimizer:
        """A group of parameters for each of the runs."""
        return self.training_program.optimizer

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Blocks lie on the device."""
        return batch

    def training_step(self, block: Block | EndOfEpoch, batch_idx: int) -> None:
        """A block of steps."""
        if isinstance(block, EndOfEpoch):
            return
        self.untouched.check(self.trainer)
        before = self.training_program.progress.step
        self.training_program.take(block)
        self._count(self.training_program.progress.step - before)
        self.untouched.note()

    def _count(self, steps: int) -> None:
        """Have Lightning count steps of the optimizer, also where a batch has several."""
        taken = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        for counted in (taken.total, taken.current):
            counted.ready, counted.completed = counted.ready + steps, counted.completed + steps
        # What loggers take for the step; it adds one for the batch itself.
        self.trainer.fit_loop.epoch_loop._batches_that_stepped += steps - 1

    def validation_step(self, name: str, batch_idx: int) -> None:
        """One held-out set, whole."""
        self.untouched.check(self.trainer)
        started = time.perf_counter()
        self.measures[name] = self.training_program.evaluate(name)
        self.training_program.progress.seconds += time.perf_counter() - started
        self.untouched.note()

    def on_validation_epoch_end(self) -> None:
        """The border of two epochs."""
        self.untouched.check(self.trainer)
        started = time.perf_counter()
        self.training_program.end_epoch(self.measures)
        self.training_program.progress.seconds += time.perf_counter() - started
        if self.untouched.names:  # nobody else reads it, and it takes longer than a small validation
            self._log()
        self.untouched.note()
        self.trainer.should_stop = self.training_program.done

    def _log(self) -> None:
        """For callbacks: train_loss, val_loss, val_accuracy or val_mae and so on, of the runs that have such a row."""
        training = self.training_program
        names = ("loss", training.program.measure)
        last = [row for k in range(len(training.lanes)) for row in training.latest_rows(k)]
        for split in dict.fromkeys(row["split"] for row in last):
            own = [row for row in last if row["split"] == split]
            extra = (in_row(lane.monitor) for lane in training.lanes)
            known = [name for name in dict.fromkeys((*names, *extra)) if all(name in row for row in own)]
            means = {f"{split}_{name}": sum(row[name] for row in own) / len(own) for name in known}
            # On every worker the same already; what is kept of them is in metrics.jsonl.
            self.log_dict(means, batch_size=1, sync_dist=True, logger=False)


class TeamStrategy(SingleDeviceStrategy):
    """One worker of a team, with its true rank. The team itself sums gradients and merges measures."""

    def __init__(self, training: Training) -> None:
        super().__init__(training.device)
        self.global_rank, self.world_size = training.team.rank, training.team.size
        rank_zero_only.rank = training.team.rank  # type: ignore[attr-defined]  # of this process

    @property
    def is_global_zero(self) -> bool:
        return self.global_rank == 0


def run_to_end(
    training: Training,
    keeper: Keeper,
    stop: StopRequest | None = None,
    watching: Watching = NOBODY,
) -> None:
    """Train until every run has ended.

    Raises Stopped after a signal (its state is saved), NumericsError, PeerLost, and ConfigError for a callback of the
    user's that changes what is trained.
    """
    stop, untouched = stop or StopRequest(), Untouched(training, watching.callbacks)
    keeping = Keeping(training, keeper, stop, untouched, watching.log.flush if watching.log else None)
    if not training.done:
        trainer = _trainer(training, watching, keeping)
        with stop.listening(), _without_advice(), watching.told():
            try:
                trainer.fit(TrainingModule(training, untouched), train_dataloaders=Blocks(training), val_dataloaders=Names())
            except SIGTERMException as error:  # raised between batches, where Lightning would exit with status 0
                raise keeping.stopped() from error
            untouched.check(trainer)
        if stop.signal is not None and not training.done:
            raise keeping.stopped()
    keeping.save()


def _trainer(training: Training, watching: Watching, keeping: Keeping) -> pl.Trainer:
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # not which devices there are
    trainer = pl.Trainer(
        strategy=TeamStrategy(training),
        accelerator="gpu" if training.device.type == "cuda" else "cpu",
        precision=training.program.precision,
        callbacks=[*watching.callbacks, keeping],
        logger=watching.log or False,
        log_every_n_steps=1,  # each block
        profiler=watching.profiler,
        max_epochs=training.program.epochs,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        inference_mode=False,
        use_distributed_sampler=False,
    )
    if training.progress.epoch or training.progress.step:
        trainer.fit_loop.load_state_dict(_loop_state(trainer, training))
    return trainer


def _loop_state(trainer: pl.Trainer, training: Training) -> dict[str, Any]:
    """Lightning's counters where a training goes on, as its own checkpoints hold them."""
    epoch, step, num_blocks = training.progress.epoch, training.progress.step, len(training.batches.blocks(0))
    left = max(1, len(training.batches.blocks(step)))
    block = num_blocks - left
    """Blocks of this epoch that are done: a block that was left in its middle counts as not begun."""
    begun = epoch + (block > 0)
    epochs = {"ready": begun, "started": begun, "processed": epoch, "completed": epoch}
    states = ("ready", "started", "processed", "completed")
    steps = dict.fromkeys(("ready", "completed"), epoch * training.steps_per_epoch + step)
    own = {
        "epoch_progress": {"total": epochs, "current": epochs},
        "epoch_loop.state_dict": {"_batches_that_stepped": steps["completed"]},
        "epoch_loop.batch_progress": {
            "total": dict.fromkeys(states, epoch * num_blocks + block),
            "current": dict.fromkeys(states, block),
            "is_last_batch": False,
        },
        "epoch_loop.manual_optimization.optim_step_progress": {"total": steps, "current": steps},
    }
    return {**trainer.fit_loop.state_dict(), **own}


@contextmanager
def _without_advice() -> Iterator[None]:
    """Without what Lightning says that no user can mend; other warnings are shown."""
    with warnings.catch_warnings():
        for words in NO_ADVICE:
            warnings.filterwarnings("ignore", message=words)
        yield
