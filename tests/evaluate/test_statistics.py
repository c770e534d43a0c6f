"""Intervals against closed forms, scipy and simulation."""

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap

from trueline.evaluate.statistics import bootstrap_mean, paired_difference, perplexity, wilson, win_rate


def test_the_bootstrap_interval_is_scipys():
    values = np.random.default_rng(0).exponential(size=80)
    ours = bootstrap_mean(values, resamples=20_000)
    theirs = bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1))
    assert ours.value == values.mean() and ours.n == 80
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.01)


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
