"""Who keeps and shows the progress of a training. Imports no torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.train.training import Training


class Keeper:
    """Who keeps and shows the progress of a training; this one does neither."""

    save_every_s = math.inf
    """0: save after each epoch."""

    def save(self) -> None:
        pass

    def after_block(self, training: Training) -> None:
        """A few steps have ended."""

    def after_epoch(self, training: Training) -> None:
        """An epoch has ended and is in the records."""
