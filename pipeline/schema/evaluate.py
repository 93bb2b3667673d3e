"""How the best model is judged on the test split."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from pipeline.schema.base import Section

_RULE = re.compile(r"f1|balanced|(precision|recall)>=(0?\.\d+|1(\.0+)?)")


class EvaluateConfig(Section):
    """`evaluate.*`."""

    batch_size: Annotated[int, Field(ge=1)]
    calibration_bins: Annotated[int, Field(ge=2, le=100)]
    """Equal-width bins of confidence of the expected calibration error."""
    threshold: str | None
    """By which rule the probability is chosen on validation samples above which a label, or the second of two classes, is
    given: f1, precision>=0.9, recall>=0.9; null: one half. balanced, of many classes, too: as if all were equally frequent."""
    temperature: Literal["reported", "used"]
    """Fitted on validation samples: reported alone, or used for all probabilities."""
    baseline: Literal["auto", "none"]
    """auto: a simple method on the same samples is shown beside the network; none: it is left out."""

    @field_validator("threshold")
    @classmethod
    def _is_a_rule(cls, threshold: str | None) -> str | None:
        if threshold is not None and not _RULE.fullmatch(threshold):
            raise ValueError(
                "allowed are null, f1, balanced, precision>=SHARE and recall>=SHARE, a share from 0 to 1, on a command line "
                "within quotes: 'evaluate.threshold=precision>=0.9'"
            )
        return threshold
