"""One optimizer for stacked runs: each row of the parameter matrix is stepped with its own run's settings.

torch's fused kernels do the arithmetic, run by run, so that a run's bits do not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.sgd import sgd

from pipeline.train.groups import Columns
from pipeline.train.program import Lane

EPSILON = 1e-8
"""AdamW's, the default of Kingma and Ba 2015."""


@dataclass(frozen=True)
class Together:
    """Parts of rows that one call steps: of runs with the same settings, columns with the same factors."""

    lane: Lane
    rate: float
    decay: float
    """Factor of the learning rate; the weight decay itself."""
    held: bool
    """Whether they are left as they are before `held_until`."""
    parts: list[int]
    runs: list[int]


class LaneOptimizer(Optimizer):
    """AdamW (Loshchilov and Hutter 2019) or SGD with momentum over the rows of `flat` (K, columns).

    A group of parameters for each run tells its settings and its learning rate, for whoever watches.
    """

    def __init__(
        self, name: str, lanes: Sequence[Lane], flat: Tensor, columns: Sequence[Columns] = (), held_until: float = 0
    ) -> None:
        """columns: all of them, in order; none: all are stepped alike. held_until: the number of steps that held ones wait."""
        own = ("weight_decay", "betas") if name == "adamw" else ("weight_decay", "momentum", "nesterov")
        settings = [{key: getattr(lane, key) for key in own} for lane in lanes]
        groups = zip(flat.unbind(0), lanes, settings, strict=True)
        super().__init__([{"params": [row], "lr": lane.learning_rate, **more} for row, lane, more in groups], {})
        self.name, self.lanes, self.flat = name, lanes, flat
        self.first = torch.zeros_like(flat)
        """Running mean of the gradient (AdamW), or the momentum buffer (SGD)."""
        self.second = torch.zeros_like(flat) if name == "adamw" else flat.new_empty(0)
        """Running mean of its square (AdamW)."""
        self.held_until = held_until
        self.taken, self.taken_held = torch.zeros((2,), device=flat.device).unbind()
        """Steps, this one too; of columns that were held those since: their running means begin then."""
        self.columns = columns = columns or [Columns(0, flat.shape[1], 1.0, 1.0)]
        self.together = [*_together(lanes, columns)]
        self.any_held = any(part.held for part in columns)
        self.sizes = [part.last - part.first for part in columns]
        self.states = [self._parts(state) for state in (flat, self.first, self.second)]
        self.last: tuple[Tensor, Sequence[int]] = flat, ()
        """The last gradient and the runs that it stepped: mostly the same place and the same runs for all steps."""
        self.calls: list[tuple[Together, list[list[Tensor]]]] = []
        """What they were cut into: for each call parts of the weights, the gradient and both states."""

    def _parts(self, matrix: Tensor) -> list[Sequence[Tensor]]:
        """Each row in parts that are stepped alike."""
        return [row.split_with_sizes(self.sizes) for row in matrix.unbind(0)] if matrix.numel() else []

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Refuse: a step needs the whole batch's gradient, and `Training.take` takes it."""
        raise RuntimeError("a step is taken by Training.take, with the gradient of the whole batch (step_lanes)")

    def step_lanes(self, going: Sequence[int], gradient: Tensor, num_steps: int, rate_factor: float) -> None:
        """Step these runs with their rows of the gradient (K, columns); num_steps have been taken before."""
        self.taken.fill_(num_steps + 1)
        if self.any_held:
            self.taken_held.fill_(max(1, num_steps + 1 - self.held_until))
        if gradient is not self.last[0] or going != self.last[1]:
            self.last, self.calls = (gradient, going), [*self._calls(going, self._parts(gradient))]
        for own, (flat, grads, first, second) in self.calls:
            if own.held and num_steps < self.held_until:
                continue
            self._step(own, rate_factor, flat, grads, first, second)
        self.tell_rates(going, rate_factor)

    def _calls(self, going: Sequence[int], gradients: list[Sequence[Tensor]]) -> Iterator[tuple[Together, list[list[Tensor]]]]:
        flat, first, second = self.states
        for own in self.together:
            if places := [(k, i) for k in own.runs if k in going for i in own.parts]:
                yield own, [[state[k][i] for k, i in places if state] for state in (flat, gradients, first, second)]

    def tell_rates(self, going: Sequence[int], factor: float) -> None:
        """Have the groups of parameters tell the learning rates of a step."""
        for k in going:
            self.param_groups[k]["lr"] = self.lanes[k].learning_rate * factor

    def _step(
        self, own: Together, factor: float, flat: list[Tensor], grads: list[Tensor], first: list[Tensor], second: list[Tensor]
    ) -> None:
        lane, rate = own.lane, own.lane.learning_rate * factor * own.rate
        if self.name == "sgd":
            sgd(
                flat, grads, [state if lane.momentum else None for state in first], fused=True, foreach=False,
                momentum=lane.momentum, weight_decay=own.decay, lr=rate, dampening=0.0, nesterov=lane.nesterov, maximize=False,
                has_sparse_grad=False,
            )  # fmt: skip
            return
        taken = self.taken_held if own.held else self.taken
        # What torch.optim.AdamW(fused=True) calls, without 30 us of preparations, a tenth of a small step.
        torch._fused_adamw_(
            flat, grads, first, second, [], [taken] * len(flat), amsgrad=False, maximize=False, lr=rate,
            beta1=lane.betas[0], beta2=lane.betas[1], weight_decay=own.decay, eps=EPSILON,
        )  # fmt: skip


def _together(lanes: Sequence[Lane], columns: Sequence[Columns]) -> Iterator[Together]:
    """What one call each steps; where nothing is decayed, columns that differ in that alone are stepped together."""
    settings = [(lane.learning_rate, lane.weight_decay, lane.betas, lane.momentum, lane.nesterov) for lane in lanes]
    for one in dict.fromkeys(settings):
        runs = [k for k, each in enumerate(settings) if each == one]
        lane = lanes[runs[0]]
        factors = [(part.rate, lane.weight_decay * part.decay, part.held) for part in columns]
        for own in dict.fromkeys(factors):
            yield Together(lane, *own, [i for i, each in enumerate(factors) if each == own], runs)


def clip_scale(grad: Tensor, largest: float) -> float:
    """By what to scale a gradient (columns,) so that its norm is at most `largest` (Pascanu et al. 2013)."""
    norm = float(torch.linalg.vector_norm(grad))
    return largest / norm if norm > largest else 1.0
