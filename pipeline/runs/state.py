"""What a training goes on from: how far each run is, beside the tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

Row = dict[str, Any]
ROWS_PER_EPOCH = 3
"""Records of an epoch: train, train_clean, val."""


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
    step_seconds: float = 0.0
    """Spent on the steps of finished epochs."""
    best: list[Row | None] = field(default_factory=list)
    """Per run, the validation row of its best epoch."""
    stale: list[int] = field(default_factory=list)
    """Per run, epochs since then."""
    ended: list[str | None] = field(default_factory=list)
    """Per run, why it has ended: early_stop, or not_finite with `failures`; None while it trains."""
    failures: list[str | None] = field(default_factory=list)
    num_rows: list[int] = field(default_factory=list)
    """Per run, how many records it has. They themselves are written once, and are no part of a state."""
    num_logged: int = 0
    """How many rows callbacks have logged, which are written once, too."""

    @classmethod
    def of(cls, num_runs: int) -> Progress:
        """Of runs that have not begun."""
        none: list[Any] = [None] * num_runs
        zeros = [0] * num_runs
        return cls(best=[*none], stale=[*zeros], ended=[*none], failures=[*none], num_rows=[*zeros])

    @classmethod
    def read(cls, values: Row) -> Progress:
        """Of a state; one of an older version has the records themselves."""
        values = dict(values)
        if (rows := values.pop("rows", None)) is not None:
            steps = [row["seconds"] for row in rows[0] if row["split"] == "train"]
            values |= {"num_rows": [len(each) for each in rows], "step_seconds": sum(steps)}
        return cls(**values)


Snapshot = tuple[dict[str, NDArray[Any]], Row]
"""All that a training goes on from: tensors by name, and its `Progress` as plain values."""
