"""The training of K stacked runs, step by step: the one training code there is. A plain training has K = 1.

Everything random is keyed (see `pipeline/keyed.py`), so the state below is all that an interrupted training needs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline import keyed
from pipeline.data.batches import Inputs, fetched_ahead
from pipeline.data.dataset import Data, Split
from pipeline.data.views import Views
from pipeline.errors import NumericsError
from pipeline.model.losses import hits, logit_gradients, sample_losses
from pipeline.model.network import Network, normalisation
from pipeline.runs.state import Progress, Row
from pipeline.train.batches import Batches, Block
from pipeline.train.optimizer import LaneOptimizer, clip_scale
from pipeline.train.program import Lane, Program, lane_seeds, rate_factor
from pipeline.train.tree import Team, shard_bounds

EVAL_ROWS = 1024
"""Rows of an evaluation batch: fixed, so that sums have one order."""
NORM_STEPS = 8
"""An epoch's gradient norms are measured on at least this many steps, evenly spaced, or on all."""


class Training:
    """K runs of one program on one device: parameters, optimizer, best weights, progress."""

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
        self.network = Network(program.spec, len(lanes), device)
        self.network.initialise(lane_seeds(lanes))
        self.optimizer = LaneOptimizer(program.optimizer, lanes, self.network.flat)
        self.best = self.network.flat.clone()
        self.mean, self.scale = normalisation(data.manifest.mean, data.manifest.std, program.spec.input_shape, device)
        train = data.split("train")
        self.batches = Batches(program, self.lanes, train, views, self._normalised, device, self.team)
        self.ids, self.steps_per_epoch = self.batches.ids, self.batches.steps_per_epoch
        val = data.split("val")
        clean = keyed.subset(self.ids, len(val))
        self.held_out = {
            "train_clean": (
                Inputs([train.inputs[self.batches.rows[clean]]], device),
                self.batches.labels[torch.from_numpy(clean).to(device)],
            ),
            "val": _held_out(val, device),
        }
        self.progress = Progress.of(len(lanes))
        self.row_losses = torch.zeros(len(lanes), len(self.ids), device=device)
        """Of the current epoch, in its order; zero where another worker or no step has been."""
        self.row_hits = torch.zeros_like(self.row_losses)
        self.norms = np.zeros((len(lanes), len(self.network.layer_names) + 2))
        """Sums over the measured steps: each layer's norm, the whole gradient's, and how many."""
        smoothing = torch.tensor([lane.label_smoothing for lane in self.lanes], device=device).view(-1, 1)
        self.smoothing = smoothing if smoothing.any() else None
        self.own_gradient = self._gradient_places(self.team.nearby.room if self.team.nearby else None)
        self.layer_rooms = [last - first for first, last in self.network.layer_ranges()]
        self.pending: list[tuple[int, Tensor, Tensor]] = []
        """Of steps not yet in the records: first place in the epoch, logits (K, b, outputs), labels (K, b, ...)."""
        self.flushed = True
        """Whether the records have every step so far; the same on every worker of a team."""

    @property
    def done(self) -> bool:
        """Whether every run has ended."""
        return self.progress.epoch >= self.program.epochs or all(self.progress.ended)

    def train_epoch(self, after_step: Callable[[], None] = lambda: None) -> None:
        """The rest of the current epoch. after_step may save, and may raise to stop."""
        fetch, todo = self.batches.of_epoch(self.progress.epoch), self.batches.blocks(self.progress.step)
        blocks = (fetch(steps) for steps in todo) if self.batches.resident else fetched_ahead(fetch, todo)
        started = time.perf_counter()
        for block in blocks:
            for step in block.steps:
                self.update(step, self.gradient(block, step))
                self.progress.step = step + 1
                self.progress.epoch_seconds += time.perf_counter() - started
                after_step()
                started = time.perf_counter()
            self._flush()

    def _normalised(self, images: Tensor) -> Tensor:
        """uint8 to float32 with the training split's mean and deviation: the one cast there is."""
        return images.to(torch.float32).sub_(self.mean).mul_(self.scale)

    def gradient(self, block: Block, step: int) -> Tensor:
        """Of a step's whole batch (K, columns), to be read only; its logits wait in `pending` for the records."""
        size, place = self.program.batch_size, block.place(step)
        num_rows, masked = min(size, len(self.ids) - step * size), step - block.steps[0]
        num_shards = self.team.num_shards(self.program.shards)
        bounds, (first, last) = shard_bounds(num_rows, num_shards), self.team.own_shards(num_shards)

        def shard_gradient(shard: int) -> Tensor:
            a, b = bounds[shard]
            out, places = self.own_gradient if last - first == 1 else self._gradient_places()
            if a == b:
                return out.zero_()
            labels = block.labels[:, place + a : place + b]
            masks = [mask[:, masked, a - block.rows[0] : b - block.rows[0]] for mask in block.masks]
            logits = self.network.gradient(
                block.inputs[:, place + a : place + b],
                masks,
                lambda z: logit_gradients(self.program.loss, z, labels, self.smoothing, num_rows),
                places,
            )
            self.pending.append((step * size + a, logits, labels))
            return out

        self.flushed = False
        return self.team.total(shard_gradient, num_shards)

    def _gradient_places(self, room: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """A gradient of zeros (K, columns), in `room` or a new place, and its parts, one for each parameter."""
        out = torch.zeros_like(self.network.flat) if room is None else room.zero_()
        return out, self.network.views(out)

    def _flush(self) -> None:
        """Take the losses and hits of the steps since the last flush into the records; end runs whose loss is not finite."""
        if self.flushed:
            return
        finite = True
        if self.pending:
            logits, labels = torch.cat([p[1] for p in self.pending], dim=1), torch.cat([p[2] for p in self.pending], dim=1)
            losses = sample_losses(self.program.loss, logits, labels, self.smoothing)
            self._record(losses, hits(self.program.loss, logits, labels))
            finite = bool(losses.sum().isfinite())
        self.flushed = True
        if not self.team.agreed(finite, self.device):
            losses = self.team.merged(self.row_losses)
            for k in range(len(self.lanes)):
                self._check_finite(k, losses[k])

    def _record(self, losses: Tensor, right: Tensor) -> None:
        """Losses and hits (K, rows) of the pending steps, one after the other, to their places in the epoch."""
        first = 0
        for place, part, _ in self.pending:
            rows = slice(first, first + part.shape[1])
            self.row_losses[:, place : place + part.shape[1]] = losses[:, rows]
            self.row_hits[:, place : place + part.shape[1]] = right[:, rows]
            first += part.shape[1]
        self.pending.clear()

    def update(self, step: int, gradient: Tensor) -> None:
        """Take a step of the current epoch with its gradient."""
        num_steps = self.progress.epoch * self.steps_per_epoch + step
        factor = rate_factor(self.program, num_steps, self.steps_per_epoch)
        measured = step % max(1, self.steps_per_epoch // NORM_STEPS) == 0
        if measured:
            self._measure_norms(gradient)
        going = [k for k, ended in enumerate(self.progress.ended) if not ended]
        limits = [(k, limit) for k in going if (limit := self.lanes[k].clip_norm) is not None]
        clipped = {k: scale for k, limit in limits if (scale := clip_scale(gradient[k], limit)) < 1.0}
        if clipped:
            gradient = gradient.clone()
        for k, scale in clipped.items():
            gradient[k].mul_(scale)
        self.optimizer.step(going, gradient, num_steps, factor)

    def _measure_norms(self, gradient: Tensor) -> None:
        """Each layer's norm of each run by itself: a reduction over the stack may take another order."""
        parts = [part for run in gradient.unbind(0) for part in torch.split(run, self.layer_rooms)]
        layers = torch.stack(torch._foreach_norm(parts)).double().cpu().numpy().reshape(len(gradient), -1)
        for k, norms in enumerate(layers.tolist()):
            if not self.progress.ended[k]:
                self.norms[k] += [*norms, math.hypot(*norms), 1.0]

    def _check_finite(self, k: int, losses: Tensor) -> None:
        """End a run at its first loss that is not finite, with the best weights it had; others go on."""
        places = np.flatnonzero(~np.isfinite(losses.cpu().numpy()))
        if not len(places) or self.progress.ended[k]:
            return
        size = self.program.batch_size
        step = int(places[0]) // size
        order = keyed.epoch_order(self.lanes[k].seed, self.progress.epoch, len(self.ids))
        bad = self.ids[order[places[places < (step + 1) * size]]]
        samples = ", ".join(f"{int(i):016x}" for i in bad[:5]) + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")
        num_steps = self.progress.epoch * self.steps_per_epoch + step
        rate = self.lanes[k].learning_rate * rate_factor(self.program, num_steps, self.steps_per_epoch)
        self._end(
            k,
            "not_finite",
            f"the loss is not finite at epoch {self.progress.epoch + 1}, step {step + 1} of {self.steps_per_epoch}, "
            f"learning rate {rate:.3g}, samples {samples}; "
            "lower train.learning_rate, set train.clip_norm, or look at these samples",
        )

    def _end(self, k: int, reason: str, failure: str | None = None) -> None:
        self.progress.ended[k], self.progress.failures[k] = reason, failure
        if failure and all(self.progress.failures):
            raise NumericsError(failure)

    def evaluate(self, name: str) -> list[Row]:
        """Loss and accuracy of every run on a held-out set, without dropout and augmentation; workers share its batches."""
        inputs, labels = self.held_out[name]
        firsts = range(0, len(labels), EVAL_ROWS)
        parts = torch.zeros(len(firsts), len(self.lanes), 2, dtype=torch.float64)
        for i in range(self.team.rank, len(firsts), self.team.size):
            rows = np.arange(firsts[i], min(firsts[i] + EVAL_ROWS, len(labels)))
            x = self._normalised(inputs.take(rows)).expand(len(self.lanes), -1, *self.program.spec.input_shape)
            y = labels[firsts[i] : firsts[i] + EVAL_ROWS].expand(len(self.lanes), -1, *labels.shape[1:])
            logits = self.network(x)
            parts[i] = torch.from_numpy(_sums(sample_losses(self.program.loss, logits, y), hits(self.program.loss, logits, y)))
        sums = np.zeros((len(self.lanes), 2))
        for part in self.team.merged(parts.to(self.device)).cpu().numpy():  # in one order, whoever computed them
            sums += part
        return [{"loss": loss / len(labels), "accuracy": right / len(labels)} for loss, right in sums.tolist()]

    def end_epoch(self, measures: dict[str, list[Row]]) -> None:
        """Take the epoch's measures into the records, keep the weights that are best so far, go on to the next epoch."""
        epoch = self.progress.epoch + 1
        running = self._running_rows()
        for k in range(len(self.lanes)):
            if self.progress.ended[k]:
                continue
            rows = [{"epoch": epoch, "split": split, **found[k]} for split, found in (("train", running), *measures.items())]
            if not all(math.isfinite(row["loss"]) for row in rows) or not math.isfinite(running[k]["grad_norm"]):
                self._end(
                    k,
                    "not_finite",
                    f"epoch {epoch}: the loss or the gradient is not finite; lower train.learning_rate or set train.clip_norm",
                )
                continue
            self.progress.rows[k] += rows
            self._keep_best(k, rows[-1])
        self.progress.epoch, self.progress.step, self.progress.epoch_seconds = epoch, 0, 0.0
        self.row_losses.zero_()
        self.row_hits.zero_()
        self.norms[:] = 0

    def _keep_best(self, k: int, row: Row) -> None:
        best, better = self.progress.best[k], True
        if best is not None:
            better = row["loss"] < best["loss"] if self.lanes[k].monitor == "val_loss" else row["accuracy"] > best["accuracy"]
        self.progress.stale[k] = 0 if better else self.progress.stale[k] + 1
        if better:
            self.progress.best[k] = row
            self.best[k].copy_(self.network.flat[k])
        elif self.lanes[k].early_stop and self.progress.stale[k] >= self.lanes[k].early_stop:
            self._end(k, "early_stop")

    def _running_rows(self) -> list[Row]:
        """The epoch's own means: losses and hits as they were met, gradient norms, speed."""
        num, seconds = len(self.ids), max(self.progress.epoch_seconds, 1e-9)
        last_step = (self.progress.epoch + 1) * self.steps_per_epoch - 1
        factor = rate_factor(self.program, last_step, self.steps_per_epoch)
        sums = _sums(self.team.merged(self.row_losses), self.team.merged(self.row_hits))
        rows: list[Row] = []
        for lane, (loss, right), norms in zip(self.lanes, sums.tolist(), self.norms.tolist(), strict=True):
            *layers, whole, count = norms
            count = max(count, 1.0)
            names = self.network.layer_names
            rows.append(
                {
                    "loss": loss / num,
                    "accuracy": right / num,
                    "learning_rate": lane.learning_rate * factor,
                    "grad_norm": whole / count,
                    "layer_grad_norms": {name: norm / count for name, norm in zip(names, layers, strict=True)},
                    "seconds": seconds,
                    "samples_per_s": num * len(self.lanes) / seconds,
                }
            )
        return rows

    def state(self) -> tuple[dict[str, NDArray[Any]], Row]:
        """All that goes on after an interruption: tensors and plain numbers."""
        self._flush()
        tensors = {
            "parameters": self.network.flat,
            "optimizer.first": self.optimizer.first,
            "optimizer.second": self.optimizer.second,
            "best": self.best,
            "row_losses": self.team.merged(self.row_losses),
            "row_hits": self.team.merged(self.row_hits),
        }
        arrays = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
        return {**arrays, "norms": self.norms}, asdict(self.progress)

    def restore(self, tensors: dict[str, NDArray[Any]], progress: Row) -> None:
        """Go on from a `state`."""
        places = {
            "parameters": self.network.flat,
            "optimizer.first": self.optimizer.first,
            "optimizer.second": self.optimizer.second,
            "best": self.best,
            "row_losses": self.row_losses,
            "row_hits": self.row_hits,
        }
        for name, place in places.items():
            place.copy_(torch.from_numpy(tensors[name]))
        if self.team.rank:
            self.row_losses.zero_()
            self.row_hits.zero_()
        self.norms[:] = tensors["norms"]
        self.progress = Progress(**progress)

    def judged(self, split: Split) -> list[Row]:
        """Loss and accuracy of every run's best weights on another split; the training is left as it is."""
        now, self.held_out["judged"] = self.network.flat.clone(), _held_out(split, self.device)
        self.network.flat.copy_(self.best)
        rows = self.evaluate("judged")
        self.network.flat.copy_(now)
        return rows


def _held_out(split: Split, device: torch.device) -> tuple[Inputs, Tensor]:
    return Inputs([split.inputs], device), torch.from_numpy(np.array(split.labels)).to(device)


def _sums(losses: Tensor, right: Tensor) -> NDArray[np.float64]:
    """Sums (K, 2) in float64, run by run: a sum over a stack may take another order."""
    pairs = zip(losses, right, strict=True)
    return np.array([[float(loss.double().sum()), float(hit.double().sum())] for loss, hit in pairs])
