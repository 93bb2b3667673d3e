"""Statistics against scipy, statsmodels and the truth of simulated studies."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from pipeline.study.statistics import RESAMPLES, bootstrap_interval, holm, overlap_of, paired_difference, verdict

STUDIES, VARIANTS, SEEDS = 4000, 4, 5


def at_most(rate, num):
    """Three standard errors of a share above it."""
    return rate + 3 * (rate * (1 - rate) / num) ** 0.5


@pytest.mark.parametrize("num", [3, 8, 30])
def test_paired_differences_are_scipys(num):
    rng = np.random.default_rng(num)
    baseline, variant = rng.normal(size=num), rng.normal(0.3, size=num)
    own, expected = paired_difference(variant, baseline), stats.ttest_rel(variant, baseline)
    assert own.mean == pytest.approx((variant - baseline).mean())
    assert own.p == pytest.approx(expected.pvalue)
    assert own.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert own.differences == tuple(variant - baseline)


def test_a_tiny_p_is_scipys():
    rng = np.random.default_rng(0)
    variant = rng.normal(50, size=12)
    assert paired_difference(variant, np.zeros(12)).p == pytest.approx(stats.ttest_rel(variant, np.zeros(12)).pvalue, rel=1e-9)


def test_a_case_by_hand():
    found = paired_difference([2.0, 3.0, 4.0], [1.0, 1.0, 1.0], margin=4.0)
    # Differences 1, 2, 3: mean 2, error 1 / sqrt(3), t = 2 sqrt(3) with 2 degrees of freedom, whose p is 1 - t / sqrt(t^2 + 2).
    assert found.mean == 2.0
    assert found.p == pytest.approx(1 - (12 / 14) ** 0.5)
    assert found.interval == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), rel=1e-6)
    assert found.p_equivalent == pytest.approx((1 - (12 / 14) ** 0.5) / 2), "2 below the margin is as far as 2 above zero"


@pytest.mark.parametrize("margin", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("shift", [-0.6, 0.0, 0.3])
def test_equivalence_is_statsmodels(margin, shift):
    rng = np.random.default_rng(3)
    baseline, variant = rng.normal(size=9), rng.normal(shift, size=9)
    expected = ttost_paired(variant, baseline, -margin, margin)[0]
    assert paired_difference(variant, baseline, margin).p_equivalent == pytest.approx(expected)
    assert paired_difference(variant, baseline).p_equivalent is None


def test_holm_is_statsmodels():
    p = [0.01, 0.04, 0.03, 0.005, 0.5]
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1].tolist())
    assert holm([]) == []


@pytest.mark.parametrize("num", [3, 6, 20])
def test_the_bootstrap_is_scipys(num):
    variant = np.random.default_rng(num).gamma(2.0, size=num)
    found = paired_difference(variant, np.zeros(num))
    expected = stats.bootstrap((variant,), np.mean, n_resamples=RESAMPLES, method="BCa", rng=np.random.default_rng(0))
    assert bootstrap_interval(found) == pytest.approx(tuple(expected.confidence_interval))
    assert bootstrap_interval(found) == bootstrap_interval(found)


@pytest.mark.parametrize("num", [0, 1, 2])
def test_too_few_seeds_give_no_verdict(num):
    found = paired_difference([1.0, 3.0][:num], [0.0, 0.0][:num], margin=1.0)
    assert (found.interval, found.p, found.p_equivalent, found.num_seeds) == (None, None, None, num)
    assert found.mean == [None, 1.0, 2.0][num]
    assert bootstrap_interval(found) is None
    assert verdict(1.0, found.p, None, "lower") == "too few seeds"


def test_equal_runs_are_no_evidence():
    found = paired_difference([1.0] * 4, [1.0] * 4, margin=0.1)
    assert (found.mean, found.p, found.interval) == (0.0, 1.0, None)
    assert paired_difference([0.0] * 4, [0.0] * 4).p == 1.0


@pytest.mark.parametrize("num", [3, 5, 8])
def test_the_same_difference_on_every_seed_is_judged_by_its_signs(num):
    """No spread is no proof: three seeds whose best epoch is one earlier could be chance."""
    baseline = np.arange(num) / 10
    found = paired_difference(baseline + 0.1, baseline, margin=0.2)
    assert np.ptp(found.differences) > 0, "equal but for rounding"
    exact = stats.permutation_test((np.full(num, 0.1),), np.mean, permutation_type="samples", n_resamples=10**4)
    assert found.p == pytest.approx(exact.pvalue) == 2.0 ** (1 - num)
    assert found.p_equivalent == 2.0**-num
    assert found.interval is None
    assert bootstrap_interval(found) is None
    assert paired_difference(baseline + 0.3, baseline, margin=0.2).p_equivalent == 1.0


@pytest.mark.parametrize(
    ("mean", "p", "p_equivalent", "better", "expected"),
    [(-0.1, 0.01, None, "lower", "helps"), (0.1, 0.01, None, "lower", "hurts"),
     (0.1, 0.01, None, "higher", "helps"), (-0.1, 0.01, None, "higher", "hurts"),
     (3, 0.01, None, "neither", "more"), (-3, 0.01, None, "neither", "less"),
     (0.1, 0.2, None, "lower", "no evidence"), (0.1, 0.05, None, "lower", "no evidence"),
     (0.1, 0.2, 0.2, "lower", "no evidence"), (-0.1, 0.01, 0.3, "lower", "helps"),
     (0.1, 0.2, 0.01, "lower", "equivalent"), (0.1, 0.01, 0.01, "lower", "equivalent"),
     (0.1, None, None, "lower", "too few seeds")],
)  # fmt: skip
def test_verdicts(mean, p, p_equivalent, better, expected):
    assert verdict(mean, p, p_equivalent, better) == expected


def test_false_positives_come_at_the_stated_rate():
    """Variants share their baseline, as in a study: no study of 4 variants without effect may speak more often than 5 %."""
    runs = np.random.default_rng(1).normal(size=(STUDIES, 1 + VARIANTS, SEEDS))
    hits = 0
    for baseline, *variants in runs:
        p = holm([paired_difference(v, baseline).p for v in variants])
        hits += any(verdict(0.0, value, None, "lower") != "no evidence" for value in p)
    assert 0.02 < hits / STUDIES < at_most(0.05, STUDIES)


@pytest.mark.parametrize("spread", [0.2, 0.05])
def test_a_difference_of_the_margin_is_seldom_called_equivalent(spread):
    noise = np.random.default_rng(2).normal(0, spread, size=(STUDIES, 2, 8))
    p = [paired_difference(variant + 0.1, baseline, margin=0.1).p_equivalent for baseline, variant in noise]
    assert (np.array(p) < 0.05).mean() < at_most(0.05, STUDIES)
    if spread < 0.1:
        assert (np.array(p) < 0.05).mean() > 0.03, "and the test is not idle"


def test_a_study_at_the_margin_seldom_calls_any_of_its_variants_equivalent():
    noise = np.random.default_rng(4).normal(0, 0.05, size=(STUDIES, 1 + VARIANTS, SEEDS))
    hits = 0
    for baseline, *variants in noise:
        hits += any(p < 0.05 for p in holm([paired_difference(v + 0.1, baseline, 0.1).p_equivalent for v in variants]))
    assert hits / STUDIES < at_most(0.05, STUDIES)


def test_intervals_cover_the_truth_as_often_as_they_say():
    noise = np.random.default_rng(5).normal(size=(STUDIES, 2, SEEDS))
    found = [paired_difference(variant + 0.7, baseline).interval for baseline, variant in noise]
    covered = np.mean([low <= 0.7 <= high for low, high in found])
    assert abs(covered - 0.95) < 3 * (0.05 * 0.95 / STUDIES) ** 0.5


def test_the_bootstrap_covers_with_enough_seeds():
    noise = np.random.default_rng(6).normal(size=(400, 20))
    found = [bootstrap_interval(paired_difference(row, np.zeros(20))) for row in noise]
    assert 0.89 < np.mean([low <= 0 <= high for low, high in found]) < 0.98


def test_folds_share_training_samples_so_that_the_mean_is_less_sure():
    rng = np.random.default_rng(1)
    baseline, variant = rng.normal(size=5), rng.normal(0.5, size=5)
    plain, own = paired_difference(variant, baseline, 2.0), paired_difference(variant, baseline, 2.0, overlap_of(5))
    # Nadeau and Bengio (2003): the variance of the mean is (1/J + n_test / n_train) times that of a difference.
    wider = ((1 / 5 + 1 / 4) / (1 / 5)) ** 0.5
    reach, plain_reach = (found.interval[1] - found.mean for found in (own, plain))
    assert (own.mean, own.differences) == (plain.mean, plain.differences)
    assert reach == pytest.approx(wider * plain_reach)
    t = own.mean / (np.std(variant - baseline, ddof=1) * (1 / 5 + 1 / 4) ** 0.5)
    assert own.p == pytest.approx(2 * stats.t.sf(abs(t), 4))
    assert own.p_equivalent > plain.p_equivalent
    assert (overlap_of(None), overlap_of(10)) == (0.0, 1 / 9)


def test_the_same_in_every_fold_proves_nothing():
    same = paired_difference([0.5] * 12, [0.4] * 12, 0.2, overlap_of(12))
    assert (same.interval, same.p, same.p_equivalent) == (None, 1.0, 1.0)


def test_of_folds_the_interval_holds_what_it_says_where_that_of_seeds_does_not():
    """A made-up truth: the folds' differences share a part of their noise, as overlapping training sets make them."""
    rng, folds, missed = np.random.default_rng(0), 5, {0.0: 0, overlap_of(5): 0}
    for _ in range(2000):
        shared, own = rng.normal(size=1), rng.normal(size=folds)
        differences = shared * (1 / 5) ** 0.5 + own * (4 / 5) ** 0.5  # correlation 1/5 = n_test / (n_test + n_train)
        for overlap in missed:
            low, high = paired_difference(differences, np.zeros(folds), overlap=overlap).interval
            missed[overlap] += not low <= 0.0 <= high
    assert missed[0.0] / 2000 > 0.10
    assert missed[overlap_of(5)] / 2000 <= at_most(0.05, 2000)
