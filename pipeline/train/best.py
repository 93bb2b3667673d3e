"""The weights that are best so far, of each run by its own `monitor`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor

from pipeline.metrics import METRICS, in_row
from pipeline.runs.state import Progress, Row
from pipeline.train.program import Lane


class Best:
    """K runs' best weights (K, columns); of which epoch they are stands in the progress."""

    def __init__(self, lanes: Sequence[Lane], flat: Tensor) -> None:
        self.lanes, self.flat = lanes, flat.clone()

    def offer(self, progress: Progress, k: int, row: Row, weights: Tensor) -> None:
        """Take a run's weights (columns,) where its validation row is better than the best one so far."""
        best = progress.best[k]
        better = best is None or _rank(row, self.lanes[k].monitor) < _rank(best, self.lanes[k].monitor)
        progress.stale[k] = 0 if better else progress.stale[k] + 1
        if better:
            progress.best[k] = row
            self.flat[k].copy_(weights)

    @contextmanager
    def standing_in(self, flat: Tensor) -> Iterator[None]:
        """The best weights in place of these in the block, which come back whatever happens in it."""
        now = flat.clone()
        flat.copy_(self.flat)
        try:
            yield
        finally:
            flat.copy_(now)


def _rank(row: Row, monitor: str) -> tuple[float, float]:
    """The smaller the better. What counts answers is often the same in many epochs: then their loss decides."""
    value = row[in_row(monitor)]
    return (value if METRICS[monitor].better == "lower" else -value, row["loss"])
