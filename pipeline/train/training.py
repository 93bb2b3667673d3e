"""The training of K stacked runs, step by step: the one training code there is. A plain training has K = 1.

Everything random is keyed (see `pipeline/keyed.py`), so the state below is all that an interrupted training needs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline import keyed
from pipeline.data.batches import Source, fetched_ahead, judged_batches, source_of
from pipeline.data.dataset import Data, Split
from pipeline.data.views import Views
from pipeline.errors import NumericsError, StorageError
from pipeline.kinds.ragged import Rows
from pipeline.kinds.views import mirror_of
from pipeline.metrics import in_row
from pipeline.model.answers import sample_logits
from pipeline.model.losses import sample_losses
from pipeline.model.targets import Targets
from pipeline.runs.state import ROWS_PER_EPOCH, Progress, Row
from pipeline.train.averaging import Averaged
from pipeline.train.batches import Batches, Block
from pipeline.train.best import Best
from pipeline.train.groups import column_factors
from pipeline.train.meter import NORM_STEPS, Meter, measured, row_sums
from pipeline.train.monitors import monitored
from pipeline.train.optimizer import LaneOptimizer, clip_scale
from pipeline.train.program import Lane, Program, lane_seeds, rate_factor
from pipeline.train.tree import Team, shard_bounds

EVAL_ROWS = 1024
"""Rows of an evaluation batch, or one sample's: fixed, so that sums have one order."""


class Training:
    """K runs of one program on one device: a net, its optimizer, best weights, measures and progress."""

    def __init__(
        self,
        program: Program,
        lanes: Sequence[Lane],
        data: Data,
        views: Sequence[Views],
        device: torch.device,
        team: Team | None = None,
    ) -> None:
        """views: each run's own; those of one digest are held once."""
        self.program, self.lanes, self.device = program, list(lanes), device
        self.team = team or Team()
        self.net = program.spec.build(len(lanes), device)
        self.net.initialise(lane_seeds(lanes))
        self.held = program.start.held if program.start else ()
        if program.start:
            program.start.write(self.net.layout, self.net.flat)
        self.kept, self.num_stepped = program.kept, self.net.layout.num_stepped
        factors = column_factors(self.net.layout, program.decayed, program.factors, self.held)
        self.best = Best(self.lanes, self.net.flat)
        self.averaged = Averaged(self.lanes, self.net.flat)
        self.kind = data.manifest.kind
        self.mirror = mirror_of(self.kind) if program.tta == "mirrored" else None
        counted = ("loss", program.measure)
        names = (in_row(lane.monitor) for lane in self.lanes)
        self._monitored = [None if name in counted else name for name in names]
        """Of each run what its best epoch is chosen by, where no epoch counts it anyway."""
        self.to_input = program.cast(data.manifest, device)
        train, val = data.split("train"), data.split("val")
        self.batches = Batches(program, self.lanes, train, views, data.manifest, self.to_input, device, self.team)
        self.ids, self.steps_per_epoch = self.batches.ids, self.batches.steps_per_epoch
        wait = (program.unfreeze_epoch - 1) * self.steps_per_epoch if program.unfreeze_epoch else math.inf
        flat = self.net.flat[:, : self.num_stepped]
        self.optimizer = LaneOptimizer(program.optimizer, lanes, flat, factors, wait if self.held else 0)
        self.held_out = {"train_clean": self._clean(train, len(val)), "val": self._held_out(val)}
        self.progress = Progress.of(len(lanes))
        self.rows: list[list[Row]] = [[] for _ in lanes]
        """Per run, the records of the epochs that have ended here; a state counts them, and whoever keeps it keeps them."""
        smoothing = torch.tensor([lane.label_smoothing for lane in self.lanes], device=device).view(-1, 1)
        self.smoothing = smoothing if smoothing.any() else None
        self.balance = program.balance and program.balance.trained_on(self.batches.labels)
        self.meter = Meter(program, self.net.layout, len(self.ids), self.smoothing, self.team, len(lanes), device)
        place = self.team.neighbours.place if self.team.neighbours else torch.empty_like(self.net.flat)
        self.own_gradient = place.zero_()
        self.own_stepped = self.own_gradient[:, : self.num_stepped]

    def _clean(self, train: Split, num: int) -> HeldOut:
        """As many training samples as there are to validate on, as they are stored, with all of their rows."""
        return self._held_out(train.taken(self.batches.samples[keyed.subset(self.ids, num)]))

    def _held_out(self, split: Split) -> HeldOut:
        return HeldOut(self.program, split, source_of([split.stored], self.kind, self.to_input, self.device), self.device)

    @property
    def done(self) -> bool:
        """Whether every run has ended."""
        return self.progress.epoch >= self.program.epochs or all(self.progress.ended)

    @property
    def going(self) -> list[int]:
        """The runs that have not ended."""
        return [k for k, ended in enumerate(self.progress.ended) if not ended]

    def blocks(self) -> Iterator[Block]:
        """The rest of the current epoch, a few steps at a time."""
        fetch, todo = self.batches.of_epoch(self.progress.epoch), self.batches.blocks(self.progress.step)
        blocks = (fetch(steps) for steps in todo) if self.batches.resident else fetched_ahead(fetch, todo)
        while True:
            started = time.perf_counter()
            block = next(blocks, None)
            self.progress.epoch_seconds += time.perf_counter() - started
            if block is None:
                return
            yield block

    def take(self, block: Block, after_step: Callable[[], None] = lambda: None) -> None:
        """Take the steps of a block; after_step may raise to stop."""
        started = time.perf_counter()
        for step in block.steps:
            self.update(step, self.gradient(block, step))
            self.progress.step = step + 1
            self.progress.epoch_seconds += time.perf_counter() - started
            after_step()
            started = time.perf_counter()
        self._flush()
        self.progress.epoch_seconds += time.perf_counter() - started

    def train_epoch(self, after_step: Callable[[], None] = lambda: None) -> None:
        """The rest of the current epoch."""
        for block in self.blocks():
            self.take(block, after_step)

    def gradient(self, block: Block, step: int) -> Tensor:
        """Of a step's whole batch (K, columns), to be read only; the meter has its logits.

        Each worker computes the shards that it owns; what they share is summed in one tree over all shards.
        """
        size = self.program.batch_size
        num_rows = min(size, len(self.ids) - step * size)
        num_shards = self.team.num_shards(self.program.shards)
        bounds, (first, last) = shard_bounds(num_rows, num_shards), self.team.own_shards(num_shards)

        self.net.hold(self._held_at(self._steps_before() + step))

        def shard_gradient(shard: int) -> Tensor:
            a, b = bounds[shard]
            # Of several shards each needs a place of its own until the tree has added it.
            out = self.own_gradient if last - first == 1 else torch.zeros_like(self.net.flat)
            if a == b:
                return out.zero_()
            inputs, targets = block.shard(step, a, b)
            logits = self.net.gradient(
                inputs,
                block.draws.shard(step, shard, a, b, num_rows),
                lambda z: self._gradients(targets, z, num_rows),
                out,
            )
            self.meter.take(step * size + a, logits, targets)
            return out

        self.meter.flushed = False
        return self.team.total(shard_gradient, num_shards)

    def _gradients(self, targets: Targets, logits: Tensor, num_rows: int) -> Tensor:
        """Of the loss by a shard's logits."""
        if self.balance:
            return self.balance.gradients(targets, logits, self.smoothing, num_rows)
        return targets.gradients(self.program.loss, logits, self.smoothing, num_rows)

    def _steps_before(self) -> int:
        """Steps of the epochs that have ended."""
        return self.progress.epoch * self.steps_per_epoch

    def _flush(self) -> None:
        """Measure the steps since the last flush; end runs whose loss is not finite."""
        losses = self.meter.flush()
        if losses is not None:
            for k in range(len(self.lanes)):
                self._check_finite(k, losses[k])

    def update(self, step: int, gradient: Tensor) -> None:
        """Take a step of the current epoch with its gradient."""
        num_steps, going = self._steps_before() + step, self.going
        factor = rate_factor(self.program, num_steps, self.steps_per_epoch)
        if self.num_stepped < gradient.shape[1]:
            for k in going:  # running statistics: each shard has its share of the change
                self.net.flat[k, self.num_stepped :] += gradient[k, self.num_stepped :]
            # One view of the place that mostly is the same: the optimizer cuts it into parts once.
            same = gradient is self.own_gradient
            gradient = self.own_stepped if same else gradient[:, : self.num_stepped]
        if step % max(1, self.steps_per_epoch // NORM_STEPS) == 0:
            self.meter.measure_norms(gradient, going)
        self.optimizer.step_lanes(going, self._clipped(gradient, going, num_steps), num_steps, factor)
        self.averaged.step(going, self.net.flat, num_steps)

    def _held_at(self, num_steps: int) -> tuple[str, ...]:
        """Tensors that are left as they are in a step, before which so many have been taken."""
        return self.held if num_steps < self.optimizer.held_until else ()

    def _without_held(self, gradient: Tensor) -> Tensor:
        """What is stepped of a gradient alone, as its norm counts."""
        free = gradient.clone()
        for part in self.optimizer.columns:
            if part.held:
                free[:, part.first : part.last] = 0.0
        return free

    def _clipped(self, gradient: Tensor, going: Sequence[int], num_steps: int) -> Tensor:
        limits = [(k, limit) for k in going if (limit := self.lanes[k].clip_norm) is not None]
        if limits and self._held_at(num_steps):
            gradient = self._without_held(gradient)
        scales = {k: scale for k, limit in limits if (scale := clip_scale(gradient[k], limit)) < 1.0}
        if scales:
            gradient = gradient.clone()
        for k, scale in scales.items():
            gradient[k].mul_(scale)
        return gradient

    def _check_finite(self, k: int, losses: Tensor) -> None:
        """End a run at its first loss that is not finite, with the best weights it had; others go on."""
        places = np.flatnonzero(~np.isfinite(losses.cpu().numpy()))
        if not len(places) or self.progress.ended[k]:
            return
        size = self.program.batch_size
        step = int(places[0]) // size
        order = self.batches.order(self.lanes[k].seed, self.progress.epoch)
        bad = self.ids[order[places[places < (step + 1) * size]]]
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        samples = ", ".join(f"{int(i):016x}" for i in bad[:5]) + more
        factor = rate_factor(self.program, self._steps_before() + step, self.steps_per_epoch)
        self._end(
            k,
            "not_finite",
            f"the loss is not finite at epoch {self.progress.epoch + 1}, step {step + 1} of "
            f"{self.steps_per_epoch}, learning rate {self.lanes[k].learning_rate * factor:.3g}, samples "
            f"{samples}; lower train.learning_rate, set train.clip_norm, or look at these samples",
        )

    def _end(self, k: int, reason: str, failure: str | None = None) -> None:
        self.progress.ended[k], self.progress.failures[k] = reason, failure
        if failure and all(self.progress.failures):
            raise NumericsError(failure)

    def evaluate(self, name: str) -> list[Row]:
        """Loss and measure of every run on a held-out set, without dropout and augmentation; workers share its batches.

        On the validation split also what a run's best epoch is chosen by, of all of its answers together. Where weights are
        averaged it is the means that answer.
        """
        with self.averaged.standing_in(self.net.flat):
            return self._evaluated(name)

    def _evaluated(self, name: str) -> list[Row]:
        """By the weights that the networks have."""
        held, loss, lanes = self.held_out[name], self.program.loss, len(self.lanes)
        parts = torch.zeros(len(held.batches), lanes, 2, dtype=torch.float64)
        answers = self._room_for_answers(held) if name == "val" else None
        for i in range(self.team.rank, len(held.batches), self.team.size):
            rows, num_rows, labels = held.take(i)
            about = loss, lanes, self.program.balance, self.mirror
            logits = sample_logits(self.net, held.source.cast, rows, num_rows, *about)
            y = labels.expand(lanes, *labels.shape)
            parts[i] = torch.from_numpy(row_sums(sample_losses(loss, logits, y), measured(self.program, logits, y)))
            if answers is not None:
                answers[:, torch.from_numpy(held.batches[i].samples)] = logits
        sums = np.zeros((len(self.lanes), 2))
        for part in self.team.merged(parts.to(self.device)).cpu().numpy():  # in one order, whoever computed them
            sums += part
        num, measure = len(held.labels), self.program.measure
        found: list[Row] = [{"loss": loss / num, measure: value / num} for loss, value in sums.tolist()]
        return found if answers is None else self._with_monitored(found, answers, held)

    def _room_for_answers(self, held: HeldOut) -> Tensor | None:
        """For the logits (K, samples, outputs); None where every run's monitor is a mean over samples."""
        if not any(self._monitored):
            return None
        outputs = self.program.spec.num_outputs
        return torch.zeros(len(self.lanes), len(held.labels), outputs, device=self.device)

    def _with_monitored(self, rows: list[Row], answers: Tensor, held: HeldOut) -> list[Row]:
        """Of each run from its own answers, all in one order: the same on any number of workers, beside any other run."""
        merged, labels = self.team.merged(answers).cpu(), held.labels.cpu().numpy()
        return [
            row | ({name: monitored(name, self.program, merged[k], labels)} if name else {})
            for k, (row, name) in enumerate(zip(rows, self._monitored, strict=True))
        ]

    def end_epoch(self, measures: dict[str, list[Row]]) -> None:
        """Take the epoch's measures into the records, keep the weights that are best so far, go on to the next epoch."""
        epoch = self.progress.epoch + 1
        measures = {"train": self._running_rows(), **measures}
        for k in self.going:
            rows = [{"epoch": epoch, "split": split, **found[k]} for split, found in measures.items()]
            if all(math.isfinite(row["loss"]) for row in rows) and math.isfinite(rows[0]["grad_norm"]):
                self._record(k, rows)
                continue
            self._end(
                k,
                "not_finite",
                f"epoch {epoch}: the loss or the gradient is not finite; lower train.learning_rate or set train.clip_norm",
            )
        self.progress.step_seconds += self.progress.epoch_seconds
        self.progress.epoch, self.progress.step, self.progress.epoch_seconds = epoch, 0, 0.0
        self.meter.clear()

    def _record(self, k: int, rows: list[Row]) -> None:
        """Of a run's epoch; its last row is the validation's."""
        self.rows[k] += rows
        self.progress.num_rows[k] += len(rows)
        self.best.offer(self.progress, k, rows[-1], self.averaged.of(k, self.net.flat))
        patience, stale = self.lanes[k].early_stop, self.progress.stale[k]
        if patience and stale >= patience:
            self._end(k, "early_stop")

    def latest_rows(self, k: int = 0) -> list[Row]:
        """A run's records of the epoch that has just ended; none where it failed."""
        return [row for row in self.rows[k][-ROWS_PER_EPOCH:] if row["epoch"] == self.progress.epoch]

    def _running_rows(self) -> list[Row]:
        """The epoch's own means, learning rate and speed."""
        seconds = max(self.progress.epoch_seconds, 1e-9)
        last_step = self._steps_before() + self.steps_per_epoch - 1
        factor = rate_factor(self.program, last_step, self.steps_per_epoch)
        return [
            {
                "loss": own["loss"],
                self.program.measure: own[self.program.measure],
                "learning_rate": lane.learning_rate * factor,
                "grad_norm": own["grad_norm"],
                "layer_grad_norms": own["layer_grad_norms"],
                "seconds": seconds,
                "samples_per_s": len(self.ids) * len(self.lanes) / seconds,
            }
            for lane, own in zip(self.lanes, self.meter.means(), strict=True)
        ]

    def state(self) -> tuple[dict[str, NDArray[Any]], Row]:
        """All that goes on after an interruption: tensors and plain numbers."""
        self._flush()
        tensors = {**{name: self.kept.part(place) for name, place in self._places().items()}, **self.meter.state()}
        arrays = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
        return {**arrays, "norms": self.meter.norms}, asdict(self.progress)

    def restore(self, tensors: dict[str, NDArray[Any]], progress: Row) -> None:
        """Go on from a `state`; StorageError where it is of another network, or of an older layout of this one."""
        for name, place in self._places().items():
            if tensors[name].shape != (here := tuple(self.kept.part(place).shape)):
                raise StorageError(
                    f"the saved state has {name} of shape {tensors[name].shape}, this code lays out {here}: an older version "
                    "wrote it; start the run anew with --fresh"
                )
            self.kept.put(torch.from_numpy(tensors[name]), place)
        self.meter.restore(tensors)
        self.progress = Progress.read(progress)
        if taken := self._steps_before() + self.progress.step:
            self.optimizer.tell_rates(self.going, rate_factor(self.program, taken - 1, self.steps_per_epoch))

    def _places(self) -> dict[str, Tensor]:
        averaged = {"averaged": self.averaged.flat} if self.averaged.decays else {}
        return {
            "parameters": self.net.flat,
            "optimizer.first": self.optimizer.first,
            "optimizer.second": self.optimizer.second,
            "best": self.best.flat,
            **averaged,
        }

    def judged(self, split: Split) -> list[Row]:
        """Loss and measure of every run's best weights on another split; the training is left as it is."""
        self.held_out["judged"] = self._held_out(split)
        with self.best.standing_in(self.net.flat):
            return self._evaluated("judged")


class HeldOut:
    """Samples to judge on, each by all of its rows, in batches whose order they alone decide."""

    def __init__(self, program: Program, split: Split, source: Source, device: torch.device) -> None:
        self.source = source
        self.labels = torch.from_numpy(program.labels(np.asarray(split.labels))).to(device)
        self.batches = judged_batches(split, EVAL_ROWS)

    def take(self, i: int) -> tuple[Rows, NDArray[np.int64] | None, Tensor]:
        """Of a batch the rows, how many each sample owns (None: one), and the samples' labels."""
        batch = self.batches[i]
        labels = self.labels[torch.from_numpy(batch.samples).to(self.labels.device)]
        return self.source.inputs.take(batch.rows), batch.num_rows, labels
