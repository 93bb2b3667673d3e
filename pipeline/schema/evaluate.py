"""How the best model is judged on the test split."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from pipeline.schema.base import Section

_RULE = re.compile(r"f1|balanced|costs|(precision|recall)>=(0?\.\d+|1(\.0+)?)")


Price = Annotated[float, Field(gt=0.0)]


class CostsConfig(Section):
    """`evaluate.costs.*`: of the rule `costs`, in any unit."""

    false_positive: Price
    false_negative: Price
    abstain: Price | None
    """Of leaving an answer open; null: every answer is given."""

    @model_validator(mode="after")
    def _pays(self) -> CostsConfig:
        cheaper = min(self.false_positive, self.false_negative)
        if self.abstain is not None and self.abstain >= cheaper:
            raise ValueError(
                f"abstain = {self.abstain:g} must be below {cheaper:g}, the cheaper of the two mistakes: no answer would be "
                "left open"
            )
        return self

    @property
    def equal(self) -> bool:
        """Whether it is the number of mistakes that counts, and no more than that."""
        return self.false_positive == self.false_negative == 1 and self.abstain is None


class EvaluateConfig(Section):
    """`evaluate.*`."""

    batch_size: Annotated[int, Field(ge=1)]
    calibration_bins: Annotated[int, Field(ge=2, le=100)]
    """Equal-width bins of confidence of the expected calibration error."""
    threshold: str | None
    """By which rule the probability is chosen on validation samples above which a label, or the second of two classes, is
    given: f1, precision>=0.9, recall>=0.9, costs; null: one half. balanced, of many classes, too: as if all were equally
    frequent. costs, of many classes, too, where answers may be left open."""
    costs: CostsConfig
    """What the rule `costs` makes least of."""
    temperature: Literal["reported", "used"]
    """Fitted on validation samples: reported alone, or used for all probabilities."""
    baseline: Literal["auto", "none"]
    """auto: a simple method on the same samples is shown beside the network; none: it is left out."""
    explain: Annotated[int, Field(ge=0, le=100)]
    """Of so many of the worst mistakes, what answers came from, and of columns, how much answers depend on each; 0: none."""

    @field_validator("threshold")
    @classmethod
    def _is_a_rule(cls, threshold: str | None) -> str | None:
        if threshold is not None and not _RULE.fullmatch(threshold):
            raise ValueError(
                "allowed are null, f1, balanced, costs, precision>=SHARE and recall>=SHARE, a share from 0 to 1, on a command "
                "line within quotes: 'evaluate.threshold=precision>=0.9'"
            )
        return threshold

    @model_validator(mode="after")
    def _costs_are_read(self) -> EvaluateConfig:
        if self.threshold != "costs" and not self.costs.equal:
            raise ValueError(
                "costs are read with threshold = costs alone: say evaluate.threshold=costs, or forget them with "
                "`regatta run '~evaluate.costs'`"
            )
        return self
