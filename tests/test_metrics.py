from typing import get_args

from pipeline.metrics import METRICS, Judged
from pipeline.report.study.studies import BESIDE


def test_what_studies_are_judged_by_and_show_is_in_the_table():
    assert {*get_args(Judged), *BESIDE} <= METRICS.keys()


def test_losses_are_better_low_and_accuracies_high():
    sides = {name: metric.better for name, metric in METRICS.items()}
    assert {side for name, side in sides.items() if name.endswith("loss")} == {"lower"}
    assert {side for name, side in sides.items() if name.endswith("accuracy")} == {"higher"}
