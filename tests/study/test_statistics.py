"""Statistics against scipy, statsmodels and the truth of simulated studies."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from pipeline.study.statistics import holm, paired_difference, verdict


def test_paired_differences_are_scipys():
    rng = np.random.default_rng(0)
    baseline, variant = rng.normal(size=8), rng.normal(0.3, size=8)
    own, expected = paired_difference(variant, baseline), stats.ttest_rel(variant, baseline)
    assert own.mean == pytest.approx((variant - baseline).mean())
    assert own.p == pytest.approx(expected.pvalue)
    assert own.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_holm_is_statsmodels():
    p = [0.01, 0.04, 0.03, 0.005, 0.5]
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1].tolist())
    assert holm([]) == []


def test_too_few_seeds_give_no_verdict():
    found = paired_difference([1.0, 2.0], [0.0, 0.0])
    assert (found.interval, found.p, found.num_seeds) == (None, None, 2)
    assert verdict(found.mean, found.p) == "too few seeds"


def test_equal_runs_are_no_evidence_and_a_constant_difference_is():
    assert paired_difference([1.0] * 4, [1.0] * 4).p == 1.0
    assert paired_difference([2.0] * 4, [1.0] * 4).p == 0.0


def test_verdicts():
    assert [verdict(-0.1, 0.01), verdict(0.1, 0.01), verdict(0.1, 0.2)] == ["helps", "hurts", "no evidence"]


def test_false_positives_come_at_the_stated_rate():
    rng = np.random.default_rng(1)
    studies = rng.normal(size=(2000, 4, 6))
    hits = 0
    for baseline, *variants in studies:
        p = holm([paired_difference(v, baseline).p for v in variants])
        hits += any(verdict(0.0, value) != "no evidence" for value in p)
    assert hits / 2000 < 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5
