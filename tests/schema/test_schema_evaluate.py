"""How answers may be taken."""

from pathlib import Path

import pytest
import yaml

from pipeline.errors import ConfigError
from pipeline.schema.base import validated
from pipeline.schema.evaluate import EvaluateConfig

DEFAULT = yaml.safe_load((Path(__file__).resolve().parents[2] / "conf/evaluate/default.yaml").read_text())
PLAIN = DEFAULT["costs"]


def judged(**changes):
    return validated(EvaluateConfig, DEFAULT | changes, "evaluate")


@pytest.mark.parametrize("rule", [None, "f1", "balanced", "costs", "precision>=0.9", "recall>=1", "recall>=.5"])
def test_rules_that_there_are(rule):
    assert judged(threshold=rule).threshold == rule


@pytest.mark.parametrize("rule", ["f2", "recall>=2", "cost", "precision", "costs>=1"])
def test_a_rule_that_there_is_not_is_refused_with_those_that_there_are(rule):
    with pytest.raises(ConfigError, match=r"evaluate\.threshold = .*allowed are null, f1, balanced, costs, precision>=SHARE"):
        judged(threshold=rule)


@pytest.mark.parametrize("wrong", [{"false_positive": 0.0}, {"false_negative": -1.0}, {"abstain": 0.0}])
def test_costs_are_above_zero(wrong):
    (key,) = wrong
    with pytest.raises(ConfigError, match=rf"evaluate\.costs\.{key} = .*greater than 0"):
        judged(threshold="costs", costs=PLAIN | wrong)


def test_an_open_answer_that_costs_as_much_as_a_mistake_is_refused():
    assert judged(threshold="costs", costs=PLAIN | {"abstain": 0.99}).costs.abstain == 0.99
    with pytest.raises(ConfigError, match=r"abstain = 2 must be below 1, the cheaper of the two mistakes"):
        judged(threshold="costs", costs={"false_positive": 1, "false_negative": 5, "abstain": 2})


@pytest.mark.parametrize("threshold", [None, "f1"])
def test_costs_that_nothing_reads_are_refused(threshold):
    with pytest.raises(
        ConfigError, match=r"say evaluate\.threshold=costs, or forget them with `regatta run '~evaluate\.costs'`"
    ):
        judged(threshold=threshold, costs=PLAIN | {"false_negative": 5.0})
