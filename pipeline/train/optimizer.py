"""One optimizer for stacked runs: each row of the parameter matrix is stepped with its own run's settings.

torch's fused kernels do the arithmetic, run by run, so that a run's bits do not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.sgd import sgd

from pipeline.train.program import Lane

EPSILON = 1e-8
"""AdamW's, the default of Kingma and Ba 2015."""


class LaneOptimizer(Optimizer):
    """AdamW (Loshchilov and Hutter 2019) or SGD with momentum over the rows of `flat` (K, columns).

    A group of parameters for each run tells its settings and its learning rate, for whoever watches.
    """

    def __init__(self, name: str, lanes: Sequence[Lane], flat: Tensor) -> None:
        own = ("weight_decay", "betas") if name == "adamw" else ("weight_decay", "momentum")
        settings = [{key: getattr(lane, key) for key in own} for lane in lanes]
        groups = zip(flat.unbind(0), lanes, settings, strict=True)
        super().__init__([{"params": [row], "lr": lane.learning_rate, **more} for row, lane, more in groups], {})
        self.name, self.lanes, self.flat = name, lanes, flat
        self.first = torch.zeros_like(flat)
        """Running mean of the gradient (AdamW), or the momentum buffer (SGD)."""
        self.second = torch.zeros_like(flat) if name == "adamw" else flat.new_empty(0)
        """Running mean of its square (AdamW)."""
        self.taken = torch.zeros((), device=flat.device)
        settled = [(lane.learning_rate, lane.weight_decay, lane.betas, lane.momentum) for lane in lanes]
        self.alike = [[k for k, each in enumerate(settled) if each == one] for one in dict.fromkeys(settled)]
        """Runs of the same settings are stepped by one call."""
        self.rows = [list(state.unbind(0)) for state in (flat, self.first, self.second)]

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Refuse: a step needs the whole batch's gradient, and `Training.take` takes it."""
        raise RuntimeError("a step is taken by Training.take, with the gradient of the whole batch (step_lanes)")

    def step_lanes(self, going: Sequence[int], gradient: Tensor, num_steps: int, rate_factor: float) -> None:
        """Step these runs with their rows of the gradient (K, columns); num_steps have been taken before."""
        gradients, left = gradient.unbind(0), set(going)
        self.taken.fill_(num_steps + 1)
        for alike in self.alike:
            if runs := [k for k in alike if k in left]:
                own, (flat, first, second) = self.lanes[runs[0]], ([rows[k] for k in runs if rows] for rows in self.rows)
                rate = own.learning_rate * rate_factor
                self._step(own, rate, flat, [gradients[k] for k in runs], first, second)
                for k in runs:
                    self.param_groups[k]["lr"] = rate

    def _step(
        self, own: Lane, rate: float, flat: list[Tensor], grads: list[Tensor], first: list[Tensor], second: list[Tensor]
    ) -> None:
        if self.name == "sgd":
            sgd(
                flat, grads, [state if own.momentum else None for state in first], fused=True, foreach=False,
                momentum=own.momentum, weight_decay=own.weight_decay, lr=rate, dampening=0.0, nesterov=False, maximize=False,
                has_sparse_grad=False,
            )  # fmt: skip
            return
        # What torch.optim.AdamW(fused=True) calls, without 30 us of preparations, a tenth of a small step.
        torch._fused_adamw_(
            flat, grads, first, second, [], [self.taken] * len(flat), amsgrad=False, maximize=False, lr=rate,
            beta1=own.betas[0], beta2=own.betas[1], weight_decay=own.weight_decay, eps=EPSILON,
        )  # fmt: skip


def clip_scale(grad: Tensor, largest: float) -> float:
    """By what to scale a gradient (columns,) so that its norm is at most `largest` (Pascanu et al. 2013)."""
    norm = float(torch.linalg.vector_norm(grad))
    return largest / norm if norm > largest else 1.0
