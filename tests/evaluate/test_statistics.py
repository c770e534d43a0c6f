"""Intervals against closed forms, scipy and simulation."""

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap, norm, ttest_rel
from scipy.stats import t as student

from trueline.evaluate.statistics import (
    bootstrap_mean,
    paired_difference,
    perplexity,
    ratio,
    student_mean,
    wilson,
    win_rate,
    wins,
)


def expanded(n):
    """The level that makes up for resamples that spread less than samples (Hesterberg 2015)."""
    return 1 - 2 * norm.sf(student.isf(0.025, n - 1) * np.sqrt(n / (n - 1)))


def test_the_bootstrap_interval_is_scipys():
    values = np.random.default_rng(0).exponential(size=80)
    ours = bootstrap_mean(values, resamples=20_000)
    theirs = bootstrap(
        (values,),
        np.mean,
        confidence_level=expanded(80),
        n_resamples=20_000,
        method="BCa",
        rng=np.random.default_rng(1),
    )
    assert ours.value == values.mean() and ours.n == 80
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.01)


def test_a_ratio_is_that_of_the_sums_and_its_interval_scipys():
    rng = np.random.default_rng(5)
    below = rng.integers(5, 60, 90).astype(float)
    above = below * rng.exponential(0.1, 90)
    ours = ratio(above, below, resamples=20_000)
    theirs = bootstrap(
        (above, below),
        lambda a, b, axis=-1: a.sum(axis) / b.sum(axis),
        paired=True,
        confidence_level=expanded(90),
        n_resamples=20_000,
        method="BCa",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert ours.value == pytest.approx(above.sum() / below.sum())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.0008)


def test_a_difference_of_scores_is_scipys_paired_t():
    rng = np.random.default_rng(6)
    before, after = rng.normal(size=30), rng.normal(0.3, 1, size=30)
    theirs = ttest_rel(after, before).confidence_interval()
    ours = paired_difference(before, after)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)
    assert student_mean(after - before) == ours


def test_a_difference_of_verdicts_is_bonett_and_prices():
    before, after = np.zeros(100, dtype=bool), np.zeros(100, dtype=bool)
    after[:20], before[20:28] = True, True
    found = paired_difference(before, after)
    up, down = 21 / 102, 9 / 102
    reach = 1.959964 * np.sqrt((up + down - (up - down) ** 2) / 102)
    assert found.value == 0.12
    assert (found.low, found.high) == pytest.approx((up - down - reach, up - down + reach), abs=1e-6)


def test_verdicts_that_never_changed_still_leave_room_for_a_change():
    found = paired_difference(np.ones(200), np.ones(200))
    assert found.value == 0 and -0.03 < found.low < 0 < found.high < 0.03


def test_of_one_prompt_there_is_a_figure_and_nothing_beside_it():
    for found in (bootstrap_mean(np.array([0.3])), ratio(np.array([3.0]), np.array([10]))):
        assert (found.value, found.low, found.high, found.n) == pytest.approx((0.3, 0.3, 0.3, 1))
    assert paired_difference(np.array([0.1]), np.array([0.4])).low == pytest.approx(0.3)


def test_pairs_without_a_verdict_are_left_out():
    assert np.isnan(wins(np.array([np.nan, 0.0]), np.array([1.0, 1.0]))).tolist() == [True, False]
    found = bootstrap_mean(np.array([1.0, np.nan, 0.0, 0.5]))
    assert found.value == 0.5 and found.n == 3


@pytest.mark.parametrize(("hits", "n"), [(0, 40), (40, 40), (7, 40)])
def test_wilson_is_scipys(hits, n):
    ours, theirs = wilson(hits, n), binomtest(hits, n).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_a_share_of_nought_still_has_an_interval():
    found = bootstrap_mean(np.zeros(100))
    assert found.value == 0 and found.low == 0 and 0.03 < found.high < 0.05


def test_intervals_cover_in_nine_cases_of_ten_and_more():
    rng, hits = np.random.default_rng(3), 0
    for i in range(300):
        found = bootstrap_mean(rng.normal(size=60), resamples=400, seed=i)
        hits += found.low <= 0 <= found.high
    assert 0.91 <= hits / 300 <= 0.98


def test_a_paired_difference_sees_what_two_means_do_not():
    rng = np.random.default_rng(0)
    before = rng.normal(size=100)
    after = before + 0.1 + rng.normal(size=100) * 0.05
    found = paired_difference(before, after)
    assert found.low > 0.08 and found.high < 0.12
    old, new = bootstrap_mean(before), bootstrap_mean(after)
    assert new.low < old.high


def test_win_rate_counts_ties_half():
    found = win_rate(np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 1.0, 1.0, 4.0]))
    assert found.value == (1 + 0.5 + 0 + 1) / 4


def test_perplexity_of_equal_texts_is_exact_and_weighs_by_tokens():
    same = perplexity(np.full(10, 2.0 * 3), np.full(10, 3))
    assert same.value == pytest.approx(np.exp(2)) and same.low == pytest.approx(same.high)
    mixed = perplexity(np.array([1.0, 9.0]), np.array([1, 3]))
    assert mixed.value == pytest.approx(np.exp(10 / 4))
