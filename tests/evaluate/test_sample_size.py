"""Sample sizes against the closed form, and against what such a sample then finds."""

import numpy as np
import pytest
from scipy.stats import norm

from trueline.evaluate.compare import Metric
from trueline.evaluate.sample_size import advice, prompts_needed, spread_of
from trueline.evaluate.statistics import Interval, paired_difference, win_rate


@pytest.mark.parametrize(("spread", "change"), [(1.0, 0.2), (0.5, 0.02), (2.0, -0.3)])
def test_it_is_the_least_that_has_the_power(spread, change):
    n = prompts_needed(spread, change)

    def power(n):
        return norm.sf(norm.isf(0.025) - abs(change) * np.sqrt(n) / spread)

    assert power(n) >= 0.8 > power(n - 1)


def test_known_sizes():
    assert prompts_needed(1.0, 0.2) == 197
    assert prompts_needed(0.5, 0.02) == 4906
    assert prompts_needed(0.0, 0.1) == 2


def test_so_many_prompts_find_it_four_times_in_five():
    rng = np.random.default_rng(0)
    n = prompts_needed(0.8, 0.15)
    found = [paired_difference(np.zeros(n), rng.normal(0.15, 0.8, n)) for _ in range(1500)]
    assert 0.77 <= np.mean([i.low > 0 for i in found]) <= 0.83


def test_the_spread_is_read_from_an_interval():
    rng = np.random.default_rng(1)
    change = rng.normal(0, 0.7, 400)
    assert spread_of(paired_difference(np.zeros(400), change)) == pytest.approx(change.std(ddof=1), rel=0.01)
    wins = rng.random(400) < 0.52
    assert spread_of(win_rate(np.zeros(400), wins - 0.5)) == pytest.approx(0.5, rel=0.01)


def test_the_advice_for_a_win_rate():
    rate = win_rate(np.zeros(1000), (np.arange(1000) < 520) - 0.5)
    found = advice("win_rate", Metric(None, rate))
    assert found.prompts == pytest.approx(4901, rel=0.01) and found.more == found.prompts - 1000
    assert found.text.startswith("Win rate against before: ") and "52.0% from 50%" in found.text
    assert "4,000 more prompts" in found.text or "3,900 more prompts" in found.text


def test_the_advice_for_a_change():
    change = Interval(0.02, -0.01, 0.05, 200)
    metric = Metric(Interval(0.7, 0.6, 0.8, 200), Interval(0.72, 0.7, 0.8, 200), change)
    found = advice("quality", metric)
    assert found.prompts == pytest.approx(200 * ((1.959964 + 0.841621) / 1.959964 * 1.5) ** 2, abs=1)
    assert "0.720 from 0.700" in found.text and "720 more prompts" in found.text


def test_no_advice_where_none_is_needed_or_none_helps():
    some = Interval(0.5, 0.4, 0.6, 50)
    assert advice("quality", Metric(some, some, Interval(0.1, 0.05, 0.15, 50))) is None
    assert advice("quality", Metric(some, some, Interval(0.0, -0.1, 0.1, 50))) is None
    assert advice("kl", Metric(some, some)) is None
