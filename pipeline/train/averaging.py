"""Running means of the weights (Polyak and Juditsky 1992): what is judged, and kept, of runs that ask for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor

from pipeline.train.program import Lane


class Averaged:
    """Of each run with `ema` the exponential mean of its weights (K, columns) over steps; the rows of others are not read.

    Running statistics of a network are averaged like its weights.
    """

    def __init__(self, lanes: Sequence[Lane], flat: Tensor) -> None:
        self.decays = {k: lane.ema for k, lane in enumerate(lanes) if lane.ema}
        self.flat = flat.clone() if self.decays else flat.new_empty(0)

    def step(self, going: Sequence[int], flat: Tensor, num_steps: int) -> None:
        """Take the weights (K, columns) after a step; num_steps have been taken before.

        The first ones count for more, or the mean would long be that of the weights before training: as in TensorFlow's
        ExponentialMovingAverage the decay is at most (1 + steps) / (10 + steps).
        """
        for k in going:
            if k in self.decays:
                decay = min(self.decays[k], (1 + num_steps) / (10 + num_steps))
                self.flat[k].lerp_(flat[k], 1 - decay)

    def of(self, k: int, flat: Tensor) -> Tensor:
        """A run's weights (columns,) as they are judged."""
        return self.flat[k] if k in self.decays else flat[k]

    @contextmanager
    def standing_in(self, flat: Tensor) -> Iterator[None]:
        """The means in place of the weights in the block, which come back whatever happens in it."""
        if not self.decays:
            yield
            return
        now = flat.clone()
        for k in self.decays:
            flat[k].copy_(self.flat[k])
        try:
            yield
        finally:
            flat.copy_(now)
