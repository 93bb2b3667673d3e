"""How the best model is judged on the test split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.schema.base import Section


class EvaluateConfig(Section):
    """`evaluate.*`."""

    batch_size: Annotated[int, Field(ge=1)]
    calibration_bins: Annotated[int, Field(ge=2, le=100)]
    """Equal-width bins of confidence of the expected calibration error."""
    baseline: Literal["auto", "none"]
    """auto: a simple method on the same samples is shown beside the network; none: it is left out."""
