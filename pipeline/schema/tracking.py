"""Where the records are mirrored; nothing here changes a result, so no stage depends on it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from pipeline.schema.base import Section

REFUSED = "/\\#?%:"
LONGEST_NAME = 128
"""Letters that W&B's server takes of a name."""


def taken_by_wandb(name: str) -> str:
    """The name, if W&B takes it for a project; it would refuse another one when the run begins."""
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or set(name) & set(REFUSED):
        raise ValueError(f"should be 1 to {LONGEST_NAME} letters that can be printed, none of them {' '.join(REFUSED)}")
    return name


Name = Annotated[str, AfterValidator(taken_by_wandb)]


class TrackingConfig(Section):
    """`tracking.*`: W&B's own environment (WANDB_API_KEY, WANDB_BASE_URL) stays outside of every file."""

    mode: Literal["offline", "online", "disabled"]
    project: Name
    entity: Name | None
