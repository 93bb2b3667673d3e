"""One optimizer for stacked runs: each row of the parameter matrix is stepped with its own run's settings.

torch's fused kernels do the arithmetic, run by run, so that a run's bits do not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from pipeline.train.program import Lane

EPSILON = 1e-8
"""AdamW's, the default of Kingma and Ba 2015."""


class LaneOptimizer:
    """AdamW (Loshchilov and Hutter 2019) or SGD with momentum over the rows of `flat` (K, columns)."""

    def __init__(self, name: str, lanes: Sequence[Lane], flat: Tensor) -> None:
        self.name, self.lanes, self.flat = name, lanes, flat
        self.first = torch.zeros_like(flat)
        """Running mean of the gradient (AdamW), or the momentum buffer (SGD)."""
        self.second = torch.zeros_like(flat) if name == "adamw" else flat.new_empty(0)
        """Running mean of its square (AdamW)."""
        self.taken = torch.zeros((), device=flat.device)

    def step(self, lane: int, grad: Tensor, num_steps: int, rate_factor: float) -> None:
        """Step run `lane` with its gradient (columns,); num_steps have been taken before."""
        own, rate = self.lanes[lane], self.lanes[lane].learning_rate * rate_factor
        parameters, first = [self.flat[lane]], self.first[lane]
        if self.name == "sgd":
            # fmt: off
            sgd(parameters, [grad], [first if own.momentum else None], fused=True, foreach=False, momentum=own.momentum,
                weight_decay=own.weight_decay, lr=rate, dampening=0.0, nesterov=False, maximize=False, has_sparse_grad=False)
            # fmt: on
            return
        self.taken.fill_(num_steps + 1)
        # What torch.optim.AdamW(fused=True) calls, without 30 us of preparations, a tenth of a small step.
        torch._fused_adamw_(
            parameters, [grad], [first], [self.second[lane]], [], [self.taken], amsgrad=False, maximize=False, lr=rate,
            beta1=own.betas[0], beta2=own.betas[1], weight_decay=own.weight_decay, eps=EPSILON,
        )  # fmt: skip


def clip(grad: Tensor, largest: float) -> None:
    """Scale a gradient (columns,) so that its norm is at most `largest` (Pascanu et al. 2013)."""
    norm = float(torch.linalg.vector_norm(grad))
    if norm > largest:
        grad.mul_(largest / norm)
