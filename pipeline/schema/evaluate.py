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
    threshold: Annotated[str, Field(pattern=r"^(f1|balanced|(precision|recall)>=(0?\.\d+|1(\.0+)?))$")] | None
    """By which rule the probability is chosen on validation samples above which a label, or the second of two classes, is
    given: f1, precision>=0.9, recall>=0.9; null: one half. balanced, of many classes, too: as if all were equally frequent."""
    temperature: Literal["reported", "used"]
    """Fitted on validation samples: reported alone, or used for all probabilities."""
    baseline: Literal["auto", "none"]
    """auto: a simple method on the same samples is shown beside the network; none: it is left out."""
