"""The training of K stacked runs, step by step: the one training code there is. A plain training has K = 1.

Everything random is keyed (see `pipeline/keyed.py`), so the state below is all that an interrupted training needs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline import keyed
from pipeline.augment.image import batch_views
from pipeline.data.batches import Inputs, fetched_ahead
from pipeline.data.dataset import Dataset
from pipeline.errors import NumericsError
from pipeline.model.losses import hits, logit_gradients, sample_losses
from pipeline.model.network import Network
from pipeline.schema.augment import AugmentConfig
from pipeline.train.optimizer import LaneOptimizer, clip
from pipeline.train.program import Lane, Program, lane_seeds, rate_factor
from pipeline.train.tree import Team, shard_bounds, tree_sum

EVAL_ROWS = 1024
"""Rows of an evaluation batch: fixed, so that sums have one order."""
NORM_STEPS = 8
"""An epoch's gradient norms are measured on at least this many steps, evenly spaced, or on all."""

MOST_BLOCK_STEPS = 16
BLOCK_VALUES = 2**18
"""Values of a block of steps: 1 MB of float32."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Block:
    """A few steps' batches, made at once."""

    steps: range
    inputs: Tensor
    """(K, rows, *shape) float32, normalised."""
    labels: Tensor
    """(K, rows) int64, or (K, rows, classes) uint8."""
    masks: list[Tensor]
    """Per dropout layer (K, steps, batch, units); empty without dropout."""


@dataclass
class Progress:
    """How far each run is; plain numbers, saved as JSON beside the tensors."""

    epoch: int = 0
    """Finished epochs."""
    step: int = 0
    """Finished steps of the current epoch."""
    seconds: float = 0.0
    """Spent on training and validation, restarts aside."""
    epoch_seconds: float = 0.0
    """Spent on the current epoch's steps."""
    best: list[Row | None] = field(default_factory=list)
    """Per run, the validation row of its best epoch."""
    stale: list[int] = field(default_factory=list)
    """Per run, epochs since then."""
    ended: list[str | None] = field(default_factory=list)
    """Per run, why it has ended: early_stop, or not_finite with `failures`; None while it trains."""
    failures: list[str | None] = field(default_factory=list)
    rows: list[list[Row]] = field(default_factory=list)
    """Per run, the records so far."""


class Training:
    """K runs of one program on one device: parameters, optimizer, best weights, progress."""

    def __init__(
        self,
        program: Program,
        lanes: Sequence[Lane],
        data: Dataset,
        views: Sequence[NDArray[np.uint8]],
        policy: AugmentConfig,
        device: torch.device,
        team: Team | None = None,
    ) -> None:
        self.program, self.lanes, self.policy, self.device = program, list(lanes), policy, device
        self.team = team or Team()
        self.network = Network(program.spec, len(lanes), device)
        self.network.initialise(lane_seeds(lanes))
        self.optimizer = LaneOptimizer(program.optimizer, lanes, self.network.flat)
        self.best = self.network.flat.clone()
        train, val = data.split("train"), data.split("val")
        self.ids = np.asarray(train.ids)
        self.num_views = len(views)
        self.inputs = Inputs([*views] or [train.inputs], device)
        self.labels = torch.from_numpy(np.array(train.labels)).to(device)
        clean = keyed.subset(self.ids, len(val))
        self.held_out = {
            "train_clean": (Inputs([train.inputs[clean]], device), self.labels[torch.from_numpy(clean).to(device)]),
            "val": (Inputs([val.inputs], device), torch.from_numpy(np.array(val.labels)).to(device)),
        }
        channels = (-1, *[1] * (len(program.spec.input_shape) - 1))
        self.mean = 255 * torch.tensor(data.manifest.mean, device=device).view(channels)
        self.scale = 1 / (255 * torch.tensor([s or 1.0 for s in data.manifest.std], device=device).view(channels))
        self.steps_per_epoch = math.ceil(len(self.ids) / program.batch_size)
        count = len(lanes)
        self.progress = Progress(best=[None] * count, stale=[0] * count, ended=[None] * count, failures=[None] * count)
        self.progress.rows = [[] for _ in lanes]
        self.row_losses = torch.zeros(count, len(self.ids), device=device)
        """Of the current epoch, in its order; zero where another worker or no step has been."""
        self.row_hits = torch.zeros_like(self.row_losses)
        self.norms = np.zeros((count, len(self.network.layer_names) + 2))
        """Sums over the measured steps: each layer's norm, the whole gradient's, and how many."""
        self._lane_tensors()

    def _lane_tensors(self) -> None:
        seeds, self.lane_of_seed = np.unique(np.array(lane_seeds(self.lanes), dtype=np.uint64), return_inverse=True)
        self.seeds = [int(seed) for seed in seeds]
        """The distinct seeds: runs that share one share their batches."""
        drop = np.array([lane.dropout for lane in self.lanes])
        self.thresholds = torch.from_numpy(keyed.dropout_threshold(drop)).view(-1, 1, 1, 1).to(self.device)
        self.drop_scale = torch.from_numpy((1 / (1 - drop)).astype(np.float32)).view(-1, 1, 1, 1).to(self.device)
        self.drops = bool(drop.any())
        smoothing = torch.tensor([lane.label_smoothing for lane in self.lanes], device=self.device).view(-1, 1)
        self.smoothing = smoothing if smoothing.any() else None
        size, widths = self.program.batch_size, self.program.spec.widths
        self.dropout_bases = [keyed.dropout_base(size, width, self.device) for width in widths] if self.drops else []
        self.gradient = self._gradient_places()
        self.layer_ranges = self.network.layer_ranges()
        self.pending: list[tuple[int, Tensor, Tensor]] = []
        """Of steps not yet in the records: first place in the epoch, logits (K, b, outputs), labels (K, b, ...)."""

    @property
    def done(self) -> bool:
        """Whether every run has ended."""
        return self.progress.epoch >= self.program.epochs or all(self.progress.ended)

    def train_epoch(self, after_step: Callable[[], None] = lambda: None) -> None:
        """The rest of the current epoch. after_step may save, and may raise to stop."""
        fetch = self._epoch_blocks()
        size = self._block_steps()
        todo = [range(a, min(a + size, self.steps_per_epoch)) for a in range(self.progress.step, self.steps_per_epoch, size)]
        blocks = (fetch(steps) for steps in todo) if self.inputs.resident else fetched_ahead(fetch, todo)
        started = time.perf_counter()
        for block in blocks:
            for step in block.steps:
                self._step(block, step)
                self.progress.step = step + 1
                self.progress.epoch_seconds += time.perf_counter() - started
                after_step()
                started = time.perf_counter()
            self._flush()

    def _block_steps(self) -> int:
        """Steps whose batches and masks are made at once: few enough to stay in the processor's cache."""
        units = max(math.prod(self.program.spec.input_shape), sum(self.program.spec.widths))
        return max(1, min(MOST_BLOCK_STEPS, BLOCK_VALUES // (len(self.lanes) * self.program.batch_size * units)))

    def _epoch_blocks(self) -> Callable[[range], Block]:
        """A function from steps to their batches and masks, keyed by seed and epoch."""
        epoch, num, size = self.progress.epoch, len(self.ids), self.program.batch_size
        orders = np.stack([keyed.epoch_order(seed, epoch, num) for seed in self.seeds])
        views = np.zeros_like(orders)
        if self.num_views or self.policy.active:
            chosen = [keyed.which_view(seed, self.ids, epoch, self.num_views) for seed in self.seeds]
            views = np.take_along_axis(np.stack(chosen), orders, axis=1)
        labels = self.labels[torch.from_numpy(orders).to(self.device)]
        keys = self._dropout_keys()
        every = torch.from_numpy(self.lane_of_seed).to(self.device)
        shared = not np.array_equal(self.lane_of_seed, np.arange(len(self.seeds)))

        def block(steps: range) -> Block:
            part = slice(steps[0] * size, min((steps[-1] + 1) * size, num))
            rows, numbers = orders[:, part], views[:, part]
            images = self.inputs.take((rows + numbers * num if self.num_views else rows).ravel())
            if self.policy.active and not self.num_views:
                images = batch_views(images, self.ids[rows.ravel()], numbers.ravel(), self.policy)
            inputs, targets = self._normalised(images).view(*rows.shape, *images.shape[1:]), labels[:, part]
            if shared:
                inputs, targets = inputs[every], targets[every]
            masks = (
                []
                if keys is None
                else [self._masks(keys[:, steps[0] : steps[-1] + 1, layer], layer) for layer in range(keys.shape[2])]
            )
            return Block(steps, inputs, targets, masks)

        return block

    def _dropout_keys(self) -> Tensor | None:
        """(K, steps of the epoch, dropout layers) int32, or None where no run drops units."""
        if not self.drops or not self.program.spec.widths:
            return None
        steps = self.progress.epoch * self.steps_per_epoch + np.arange(self.steps_per_epoch)
        seeds = np.array(lane_seeds(self.lanes), dtype=np.uint64)
        layers = [keyed.dropout_keys(seeds, steps, layer) for layer in range(len(self.program.spec.widths))]
        return torch.from_numpy(np.stack(layers, axis=-1)).to(self.device)

    def _masks(self, keys: Tensor, layer: int) -> Tensor:
        """Dropout masks (K, steps, batch, units) of keys (K, steps): 1 / (1 - rate) for a kept unit, else 0."""
        base = self.dropout_bases[layer]
        keep = keyed.dropout_keep(base, keys.view(*keys.shape, 1, 1), self.thresholds)
        return keep * self.drop_scale

    def _normalised(self, images: Tensor) -> Tensor:
        """uint8 to float32 with the training split's mean and deviation: the one cast there is."""
        return images.to(torch.float32).sub_(self.mean).mul_(self.scale)

    def _step(self, block: Block, step: int) -> None:
        size = self.program.batch_size
        first = (step - block.steps[0]) * size
        last = min(first + size, block.inputs.shape[1])
        bounds = shard_bounds(last - first, self.program.shards)

        def shard_gradient(shard: int) -> Tensor:
            a, b = bounds[shard]
            out, places = self.gradient if len(bounds) == 1 else self._gradient_places()
            if a < b:
                labels = block.labels[:, first + a : first + b]
                masks = [mask[:, step - block.steps[0], a:b] for mask in block.masks]
                logits = self.network.gradient(
                    block.inputs[:, first + a : first + b],
                    masks,
                    lambda z: logit_gradients(self.program.loss, z, labels, self.smoothing, last - first),
                    places,
                )
                self.pending.append((step * size + a, logits, labels))
            return out

        gradient = self.team.finish(tree_sum(shard_gradient, *self.team.own_shards(len(bounds))))
        self._update(step, gradient)

    def _gradient_places(self) -> tuple[Tensor, list[Tensor]]:
        """An empty gradient (K, columns) and its parts, one for each parameter."""
        out = torch.zeros_like(self.network.flat)
        return out, self.network.views(out)

    def _flush(self) -> None:
        """Take the losses and hits of the steps since the last flush into the records; end runs whose loss is not finite."""
        if not self.pending:
            return
        logits, labels = torch.cat([p[1] for p in self.pending], dim=1), torch.cat([p[2] for p in self.pending], dim=1)
        losses, right = (
            sample_losses(self.program.loss, logits, labels, self.smoothing),
            hits(self.program.loss, logits, labels),
        )
        first = 0
        for place, part, _ in self.pending:
            rows = slice(first, first + part.shape[1])
            self.row_losses[:, place : place + part.shape[1]] = losses[:, rows]
            self.row_hits[:, place : place + part.shape[1]] = right[:, rows]
            first += part.shape[1]
        self.pending.clear()
        if not bool(losses.sum().isfinite()):
            for k in range(len(self.lanes)):
                self._check_finite(k)

    def _update(self, step: int, gradient: Tensor) -> None:
        num_steps = self.progress.epoch * self.steps_per_epoch + step
        factor = rate_factor(self.program, num_steps, self.steps_per_epoch)
        measured = step % max(1, self.steps_per_epoch // NORM_STEPS) == 0
        for k, lane in enumerate(self.lanes):
            if self.progress.ended[k]:
                continue
            if measured:
                self.norms[k] += self._gradient_norms(gradient[k])
            if lane.clip_norm is not None:
                clip(gradient[k], lane.clip_norm)
            self.optimizer.step(k, gradient[k], num_steps, factor)

    def _gradient_norms(self, gradient: Tensor) -> NDArray[np.float64]:
        layers = [float(torch.linalg.vector_norm(gradient[a:b])) for a, b in self.layer_ranges]
        return np.array([*layers, math.hypot(*layers), 1.0])

    def _check_finite(self, k: int) -> None:
        """End a run at its first loss that is not finite, with the best weights it had; others go on."""
        losses = self.row_losses[k].cpu().numpy()
        places = np.flatnonzero(~np.isfinite(losses))
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
        """Loss and accuracy of every run on a held-out set, without dropout and augmentation."""
        inputs, labels = self.held_out[name]
        sums = np.zeros((len(self.lanes), 2))
        for first in range(0, len(labels), EVAL_ROWS):
            rows = np.arange(first, min(first + EVAL_ROWS, len(labels)))
            x = self._normalised(inputs.take(rows)).expand(len(self.lanes), -1, *self.program.spec.input_shape)
            y = labels[first : first + EVAL_ROWS].expand(len(self.lanes), -1, *labels.shape[1:])
            logits = self.network(x)
            sums += _sums(sample_losses(self.program.loss, logits, y), hits(self.program.loss, logits, y))
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
            better = row["loss"] < best["loss"] if self.program.monitor == "val_loss" else row["accuracy"] > best["accuracy"]
        self.progress.stale[k] = 0 if better else self.progress.stale[k] + 1
        if better:
            self.progress.best[k] = row
            self.best[k].copy_(self.network.flat[k])
        elif self.program.early_stop and self.progress.stale[k] >= self.program.early_stop:
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

    def best_weights(self, k: int) -> dict[str, NDArray[np.float32]]:
        """The parameters of run k's best epoch by name, such as dense1.weight (in, out)."""
        views = self.network.views(self.best[k : k + 1])
        return {slot.name: view[0].cpu().numpy().copy() for slot, view in zip(self.network.slots, views, strict=True)}


def _sums(losses: Tensor, right: Tensor) -> NDArray[np.float64]:
    """Sums (K, 2) in float64, run by run: a sum over a stack may take another order."""
    pairs = zip(losses, right, strict=True)
    return np.array([[float(loss.double().sum()), float(hit.double().sum())] for loss, hit in pairs])
