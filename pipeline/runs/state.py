"""What a training goes on from: how far each run is, beside the tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

Row = dict[str, Any]


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

    @classmethod
    def of(cls, num_runs: int) -> Progress:
        """Of runs that have not begun."""
        rows: list[list[Row]] = [[] for _ in range(num_runs)]
        return cls(0, 0, 0.0, 0.0, [None] * num_runs, [0] * num_runs, [None] * num_runs, [None] * num_runs, rows)


Snapshot = tuple[dict[str, NDArray[Any]], Row]
"""All that a training goes on from: tensors by name, and its `Progress` as plain values."""
