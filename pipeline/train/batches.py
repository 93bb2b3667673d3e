"""The batches of stacked runs, a few steps at a time: functions of seeds, epoch and step alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline import keyed
from pipeline.data.batches import Inputs, Source, source_of
from pipeline.data.dataset import Manifest, Split
from pipeline.data.views import Views
from pipeline.kinds.inputs import Cast
from pipeline.kinds.ragged import Ragged, Rows
from pipeline.kinds.views import views_of
from pipeline.model.draw import DrawBlock, Draws
from pipeline.model.objective import SAMPLING
from pipeline.model.targets import Partners, Targets
from pipeline.train.mixing import Mixing, Places
from pipeline.train.program import Lane, Program, lane_seeds
from pipeline.train.tree import Span, Team, shard_bounds

MOST_BLOCK_STEPS = 16
BLOCK_VALUES = 2**18
"""Values of a block of steps: 1 MB of float32."""


@dataclass(frozen=True)
class Block:
    """A few steps' batches, or this worker's rows of them, made at once."""

    steps: range
    rows: Span
    """Which rows of each whole batch there are; of the last batch of an epoch perhaps fewer."""
    inputs: Rows
    """As the network takes them: (K, steps x rows, ...) or, of the one run there is, ragged ones."""
    targets: Targets
    """Labels (K, steps x rows) int64, (K, steps x rows, classes) uint8, or of numbers (K, steps x rows, targets) float32."""
    draws: DrawBlock
    """What else is random in these steps, for the networks to ask for."""

    def place(self, step: int) -> int:
        """Where row 0 of a step's whole batch lies in `inputs` and `targets`, or would lie."""
        first, last = self.rows
        return (step - self.steps[0]) * (last - first) - first

    def shard(self, step: int, first: int, last: int) -> tuple[Rows, Targets]:
        """Inputs and targets of rows [first, last) of a step's whole batch, filled up by the network to their own longest."""
        a, b = self.place(step) + first, self.place(step) + last
        inputs = self.inputs.part(a, b) if isinstance(self.inputs, Ragged) else self.inputs[:, a:b]
        return inputs, self.targets.part(a, b)


@dataclass(frozen=True)
class Stock:
    """Rows that runs of these seeds see: the training set's own, or augmented copies of them."""

    views: Views
    source: Source
    seeds: list[int]


def _limited(ids: keyed.U64, labels: NDArray[Any], program: Program) -> NDArray[np.int64]:
    """Positions of the samples (N,) that are trained on."""
    if program.per_class is not None:
        return keyed.equal_subset(ids, strata_of(labels), program.per_class)
    return np.arange(len(ids)) if program.limit is None else keyed.stratified_subset(ids, strata_of(labels), program.limit)


def strata_of(labels: NDArray[Any]) -> NDArray[np.int64]:
    """The stratum (N,) of each sample by which a subset keeps the shares of classes (N,), or of labels (N, classes).

    Of several labels the rarest counts; numbers as labels have no classes to keep.
    """
    if labels.dtype.kind == "f":
        return np.zeros(len(labels), np.int64)
    if labels.ndim == 1:
        return labels.astype(np.int64)
    by_rarity = np.argsort(labels.sum(0, dtype=np.int64), kind="stable")
    first = labels[:, by_rarity].argmax(1)
    return np.where(labels.any(1), by_rarity[first], -1)


@dataclass(frozen=True)
class Plan:
    """What a stock shows in an epoch: for each of its seeds (seeds, N), in that seed's order."""

    orders: NDArray[np.int64]
    """Which samples, among those that are trained on."""
    rows: NDArray[np.int64]
    """By which of their stored rows each is represented."""
    numbers: NDArray[np.int64]
    """In which view."""


class Batches:
    """The training batches of K runs. Runs of one seed and one augmentation share theirs, which are made once."""

    def __init__(
        self,
        program: Program,
        lanes: Sequence[Lane],
        train: Split,
        views: Sequence[Views],
        data: Manifest,
        to_input: Cast,
        device: torch.device,
        team: Team,
    ) -> None:
        self.program, self.lanes, self.fit = program, lanes, data.fit
        self.mixing = Mixing(lanes, data.kind)
        self.device, self.team = device, team
        all_ids = np.asarray(train.ids)
        self.train, self.samples = train, _limited(all_ids, np.asarray(train.labels), program)
        self.ids = all_ids[self.samples]
        self.labels = torch.from_numpy(program.labels(np.asarray(train.labels)[self.samples])).to(device)
        sampled = program.balance is not None and program.balance.mode == SAMPLING
        self.classes = np.asarray(train.labels)[self.samples] if sampled else None
        """(N,) by which an epoch is drawn; None: it has each sample once."""
        self.first_rows, self.num_rows = train.first_rows[self.samples], train.num_rows[self.samples]
        self.steps_per_epoch = math.ceil(len(self.ids) / program.batch_size)
        self.stocks = self._stocks(train, views, data.kind, to_input)
        streams = [(stock.views.digest, seed) for stock in self.stocks for seed in stock.seeds]
        place = [streams.index((own.digest, lane.seed)) for lane, own in zip(lanes, views, strict=True)]
        self.place = None if place == list(range(len(streams))) else torch.tensor(place, device=device)
        """Which stream of batches is each run's; None: one each, in order."""
        dropout = [lane.dropout for lane in lanes]
        self.draws = Draws(lane_seeds(lanes), dropout, program.batch_size, device)

    def _stocks(self, train: Split, views: Sequence[Views], kind: str, to_input: Cast) -> list[Stock]:
        """One for each distinct augmentation; those that store no copies share the training set's own rows."""
        sources: dict[str, Source] = {}
        found: dict[str, Stock] = {}
        for lane, own in zip(self.lanes, views, strict=True):
            stored = own.digest if own.arrays else "as stored" if own.drawn else "own"
            if stored not in sources and own.drawn:
                sources[stored] = Source(Inputs([train.stored], self.device), to_input)
            elif stored not in sources:
                sources[stored] = source_of(own.arrays or [train.stored], kind, to_input, self.device)
            stock = found.setdefault(own.digest, Stock(own, sources[stored], []))
            if lane.seed not in stock.seeds:
                stock.seeds.append(lane.seed)
        return list(found.values())

    @property
    def resident(self) -> bool:
        """Whether all rows lie on the device."""
        return all(stock.source.inputs.resident for stock in self.stocks)

    def blocks(self, first: int) -> list[range]:
        """The steps of an epoch from `first` on, in blocks few enough to stay in the processor's cache.

        Where a training goes on in the middle of an epoch, its blocks end where they would have ended. Where
        workers share the batches, a smaller last batch is a block of its own: each owns other rows of it.
        """
        spec = self.program.spec
        units = max(spec.num_inputs, spec.num_masked)
        size = max(1, min(MOST_BLOCK_STEPS, BLOCK_VALUES // (len(self.lanes) * self.program.batch_size * units)))
        last = self.steps_per_epoch
        alike = len(self.ids) // self.program.batch_size if self.team.size > 1 else last
        ends = [*range(size, alike, size), alike, *([last] if alike < last else [])]
        return [range(max(a, first), b) for a, b in pairwise([0, *ends]) if first < b]

    def own_rows(self, num_rows: int) -> Span:
        """This worker's rows [first, last) of a batch."""
        num_shards = self.team.num_shards(self.program.shards)
        bounds, (first, last) = shard_bounds(num_rows, num_shards), self.team.own_shards(num_shards)
        return bounds[first][0], bounds[last - 1][1]

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Which of the samples that are trained on (N,) a run of this seed meets in an epoch, one after the other.

        Each once; where training is balanced by sampling, each class as often as the others.
        """
        if self.classes is not None:
            return keyed.balanced_order(seed, epoch, self.classes)
        return keyed.epoch_order(seed, epoch, len(self.ids))

    def of_epoch(self, epoch: int) -> Callable[[range], Block]:
        """A function from steps to their batches.

        What is the same for all steps is made once: each seed's order, and labels in it. Runs that share a seed and an
        augmentation share a stream of batches, which is made once and then laid out for each run.
        """
        size, num = self.program.batch_size, len(self.ids)
        order_of = {seed: self.order(seed, epoch) for stock in self.stocks for seed in stock.seeds}
        plans = [self._plan(stock, order_of, epoch) for stock in self.stocks]
        labels = self.labels[torch.from_numpy(np.concatenate([plan.orders for plan in plans])).to(self.device)]
        first = epoch * self.steps_per_epoch
        draws = self.draws.of_epoch(range(first, first + self.steps_per_epoch))
        mix = self.mixing.of_epoch(first, num, size) if self.mixing.active else None

        def block(steps: range) -> Block:
            rows = self.own_rows(min(size, num - steps[0] * size))
            part = self._places(steps, rows)
            inputs, targets = self._of_runs(plans, labels, part)
            if mix is None:
                return Block(steps, rows, inputs, Targets(targets), draws.block(steps, rows))
            assert isinstance(inputs, Tensor), "ragged inputs are not mixed"
            other, their = self._partners(plans, labels, inputs, targets, mix.partners[:, part], part)
            inputs, shares = self.mixing.mixed(inputs, other, mix, part)
            return Block(steps, rows, inputs, Targets(targets, Partners(their, shares)), draws.block(steps, rows))

        return block

    def _of_runs(self, plans: Sequence[Plan], labels: Tensor, part: Places) -> tuple[Rows, Tensor]:
        """Inputs (K, rows, ...) and labels (K, rows) of each run at these places."""
        parts = [self._inputs(stock, plan, part) for stock, plan in zip(self.stocks, plans, strict=True)]
        inputs, targets = _together(parts), labels[:, part]
        return (inputs, targets) if self.place is None else (_each(inputs, self.place), targets[self.place])

    def _partners(
        self,
        plans: Sequence[Plan],
        labels: Tensor,
        inputs: Tensor,
        targets: Tensor,
        partners: NDArray[np.int64],
        part: Places,
    ) -> tuple[Tensor, Tensor]:
        """Inputs and labels (K, rows, ...) of those that each run's samples are mixed with, at places (K, rows).

        One worker has them all in the block; where several share batches, a worker reads those that are others' too.
        """
        if isinstance(part, slice):
            places = torch.from_numpy(partners - part.start).to(self.device)
            run = torch.arange(len(places), device=self.device)[:, None]
            return inputs[run, places], targets[run, places]
        wanted, place = np.unique(partners, return_inverse=True)
        every, of_every = self._of_runs(plans, labels, wanted)
        assert isinstance(every, Tensor)
        places = torch.from_numpy(place.reshape(partners.shape)).to(self.device)
        run = torch.arange(len(places), device=self.device)[:, None]
        return every[run, places], of_every[run, places]

    def _places(self, steps: range, rows: Span) -> Places:
        """Places in an epoch's order of these rows of each step's batch."""
        size = self.program.batch_size
        if self.team.size == 1:
            return slice(steps[0] * size, min((steps[-1] + 1) * size, len(self.ids)))
        return (size * np.array(steps)[:, None] + np.arange(*rows)).ravel()

    def _plan(self, stock: Stock, order_of: dict[int, NDArray[np.int64]], epoch: int) -> Plan:
        """In the order of an epoch, by which row and in which view each sample is shown."""
        orders = np.stack([order_of[seed] for seed in stock.seeds])
        rows, numbers = self.first_rows[orders], np.zeros_like(orders)
        if self.train.rows is not None:
            windows = [keyed.which_window(seed, self.ids, epoch, self.num_rows) for seed in stock.seeds]
            rows = rows + np.take_along_axis(np.stack(windows), orders, axis=1)
        if stock.views.policy.active:
            stored = len(stock.views.arrays)
            which = keyed.which_view_in_turns if stock.views.policy.alternates else keyed.which_view
            views = np.stack([which(seed, self.ids, epoch, stored) for seed in stock.seeds])
            numbers = np.take_along_axis(views, orders, axis=1)
        return Plan(orders, rows, numbers)

    def _inputs(self, stock: Stock, plan: Plan, part: Places) -> Rows:
        """(seeds, rows, ...) as the network takes them; ragged ones of the one seed there is."""
        orders, rows, numbers = (each[:, part] for each in (plan.orders, plan.rows, plan.numbers))
        stored = stock.source.inputs
        inputs = stored.take((rows + numbers * stored.num if stock.views.arrays else rows).ravel())
        if stock.views.drawn:
            policy = stock.views.policy
            ids = self.train.row_ids(self.samples[orders.ravel()], rows.ravel())
            inputs = views_of(policy.kind).batch_views(inputs, ids, numbers.ravel(), policy, self.fit)
        inputs = stock.source.cast(inputs)
        return inputs if isinstance(inputs, Ragged) else inputs.view(*orders.shape, *inputs.shape[1:])


def _together(parts: list[Rows]) -> Rows:
    """All stocks' inputs. Ragged ones are a module's, and modules are trained alone."""
    return parts[0] if len(parts) == 1 else torch.cat([part for part in parts if isinstance(part, Tensor)])


def _each(inputs: Rows, place: Tensor) -> Rows:
    """Each run's stream of them."""
    assert isinstance(inputs, Tensor), "ragged inputs are those of one run"
    return inputs[place]
