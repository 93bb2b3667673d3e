"""Where the records are mirrored; nothing here changes a result, so no stage depends on it."""

from __future__ import annotations

from typing import Literal

from pipeline.schema.base import Section


class TrackingConfig(Section):
    """`tracking.*`: W&B's own environment (WANDB_API_KEY, WANDB_BASE_URL) stays outside of every file."""

    mode: Literal["offline", "online", "disabled"]
    project: str
    entity: str | None
