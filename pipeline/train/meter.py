"""What is measured while runs train: each sample's loss and measure, the norms of gradients, and whether losses are finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.model.losses import sample_measures
from pipeline.model.net import Layout
from pipeline.model.targets import Targets
from pipeline.train.program import Program
from pipeline.train.tree import Team

NORM_STEPS = 8
"""An epoch's gradient norms are measured on at least this many steps, evenly spaced, or on all."""


class Meter:
    """The measures of K runs in the current epoch."""

    def __init__(
        self,
        program: Program,
        layout: Layout,
        num_rows: int,
        smoothing: Tensor | None,
        team: Team,
        lanes: int,
        device: torch.device,
    ) -> None:
        self.program, self.layout, self.smoothing, self.team, self.device = program, layout, smoothing, team, device
        self.row_losses = torch.zeros(lanes, num_rows, device=device)
        """In the epoch's order; zero where another worker or no step has been."""
        self.row_measures = torch.zeros_like(self.row_losses)
        self.norms = np.zeros((lanes, len(layout.layers) + 2))
        """Sums over the measured steps: each layer's norm, the whole gradient's, and how many."""
        self.pending: list[tuple[int, Tensor, Targets]] = []
        """Of steps not yet measured: first place in the epoch, logits (K, b, outputs), targets."""
        self.flushed = True
        """Whether every step so far is measured; the same on every worker of a team."""

    def take(self, place: int, logits: Tensor, targets: Targets) -> None:
        """Logits of rows from this place in the epoch on, to be measured a few steps at a time."""
        self.pending.append((place, logits, targets))

    def flush(self) -> Tensor | None:
        """Measure what is pending; where not all is finite, on any worker, every row's loss (K, rows)."""
        if self.flushed:
            return None
        self.flushed, finite = True, True
        if self.pending:
            finite = self._measure()
        return None if self.team.agreed(finite, self.device) else self.team.merged(self.row_losses)

    def _measure(self) -> bool:
        """All pending steps at once, which costs as much as one of them; whether their losses are finite."""
        logits, targets, losses = self.met()
        measures, first = targets.weighted(lambda labels: measured(self.program, logits, labels)), 0
        for place, part, _ in self.pending:
            rows, places = slice(first, first + part.shape[1]), slice(place, place + part.shape[1])
            self.row_losses[:, places], self.row_measures[:, places] = losses[:, rows], measures[:, rows]
            first = rows.stop
        self.pending.clear()
        return bool(losses.sum().isfinite())

    def met(self) -> tuple[Tensor, Targets, Tensor]:
        """Of the pending steps' rows: logits (K, b, outputs) of the data as they are, targets, and losses (K, b)."""
        logits = torch.cat([logits for _, logits, _ in self.pending], dim=1)
        logits = self.program.balance.shifted(logits) if self.program.balance else logits
        targets = Targets.joined([targets for _, _, targets in self.pending])
        return logits, targets, targets.losses(self.program.loss, logits, self.smoothing)

    def measure_norms(self, gradient: Tensor, going: Sequence[int]) -> None:
        """Of a gradient (K, stepped columns), run by run: a reduction over the stack may take another order."""
        rooms, runs = list(self.layout.layers.values()), gradient.unbind(0)
        norms = torch._foreach_norm([part for k in going for part in torch.split(runs[k], rooms)])
        if norms:
            layers = torch.stack(norms).double().cpu().numpy().reshape(len(going), -1)
            for k, own in zip(going, layers.tolist(), strict=True):
                self.norms[k] += [*own, math.hypot(*own), 1.0]

    def means(self) -> list[dict[str, Any]]:
        """Of each run: losses and measures as they were met, and gradient norms."""
        num = self.row_losses.shape[1]
        sums = row_sums(self.team.merged(self.row_losses), self.team.merged(self.row_measures))
        return [
            {"loss": loss / num, self.program.measure: measured / num, **self._mean_norms(norms)}
            for (loss, measured), norms in zip(sums.tolist(), self.norms.tolist(), strict=True)
        ]

    def _mean_norms(self, sums: list[float]) -> dict[str, Any]:
        *layers, whole, count = sums
        count = max(count, 1.0)
        named = zip(self.layout.layers, layers, strict=True)
        return {"grad_norm": whole / count, "layer_grad_norms": {name: norm / count for name, norm in named}}

    def state(self) -> dict[str, Tensor]:
        """The rows that any worker has measured; the norms, which all of them have, are in `norms`."""
        return {"row_losses": self.team.merged(self.row_losses), "row_measures": self.team.merged(self.row_measures)}

    def restore(self, tensors: dict[str, NDArray[Any]]) -> None:
        """Go on from a `state`; its rows are the first worker's alone, since they are summed over all."""
        self.clear()
        if self.team.rank == 0:
            self.row_losses.copy_(torch.from_numpy(tensors["row_losses"]))
            self.row_measures.copy_(torch.from_numpy(tensors["row_measures"]))
        self.norms[:] = tensors["norms"]

    def clear(self) -> None:
        """For the next epoch."""
        self.row_losses.zero_()
        self.row_measures.zero_()
        self.norms[:] = 0


def measured(program: Program, logits: Tensor, labels: Tensor) -> Tensor:
    """What an epoch counts of each sample (K, B) beside its loss."""
    unit = program.scale.unit if program.scale else 1.0
    return sample_measures(program.loss, logits, labels, unit)


def row_sums(losses: Tensor, measures: Tensor) -> NDArray[np.float64]:
    """Sums (K, 2) in float64, run by run: a sum over a stack may take another order."""
    pairs = zip(losses, measures, strict=True)
    return np.array([[float(loss.double().sum()), float(measure.double().sum())] for loss, measure in pairs])
