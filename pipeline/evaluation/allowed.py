"""Whether answers can be taken by the rule that was asked for, from what is to be predicted."""

from __future__ import annotations

from pipeline.errors import ConfigError
from pipeline.evaluation.decisions import BALANCED, COSTS
from pipeline.schema.evaluate import EvaluateConfig


def check_rule(config: EvaluateConfig, task: str, num: int, validated: bool) -> None:
    """ConfigError where the data does not let answers be taken so.

    num: of classes. validated: whether there are validation samples.
    """
    rule, costs = config.threshold, config.costs
    if task == "number":
        _check_of_numbers(config)
        return
    if (rule not in (None, BALANCED) or config.temperature == "used") and not validated:
        raise ConfigError(
            "evaluate.threshold and evaluate.temperature need validation samples, and there are none; set "
            "prepare.val_fraction above 0"
        )
    if task == "multi" or num == 2 or rule in (None, BALANCED):
        return
    if rule != COSTS:
        raise ConfigError(
            f"evaluate.threshold = {rule!r}: of {num} classes the most probable one is answered, without a threshold; "
            "forget it with `regatta run '~evaluate.threshold'`, or leave unsure answers open with "
            "`regatta run evaluate.threshold=costs evaluate.costs.abstain=0.2`"
        )
    if costs.false_positive != costs.false_negative:
        raise ConfigError(
            f"evaluate.costs: false_positive = {costs.false_positive:g}, false_negative = {costs.false_negative:g}; of "
            f"{num} classes a mistake is a false positive of one and a false negative of another: give both the same cost"
        )


def _check_of_numbers(config: EvaluateConfig) -> None:
    """ConfigError where what is of classes alone is asked for; costs are read with a threshold alone."""
    if config.threshold is not None:
        raise ConfigError(
            f"evaluate.threshold = {config.threshold!r}: the labels are numbers, and only of classes answers are given by a "
            "threshold or by costs; forget it with `regatta run '~evaluate.threshold' '~evaluate.costs'`"
        )
    if config.temperature == "used":
        raise ConfigError(
            "evaluate.temperature = 'used': the labels are numbers, and only probabilities of classes have a temperature; "
            "forget it with `regatta run '~evaluate.temperature'`"
        )
