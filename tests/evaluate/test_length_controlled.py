"""A judge's love of length is taken out of the win rate, and nothing else is."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from trueline.evaluate.length_controlled import fit_logistic, length_controlled_win_rate
from trueline.evaluate.statistics import win_rate


def duels(n, seed, merit, love_of_length, longer=20.0):
    """Wins by merit and by the tanh of the standardised difference of length, where answers grew by `longer`."""
    rng = np.random.default_rng(seed)
    before = rng.integers(20, 80, n)
    after = np.maximum(1, before + rng.normal(longer, 25, n).astype(int))
    difference = after - before
    chance = expit(merit + love_of_length * np.tanh(difference / difference.std()))
    return (rng.random(n) < chance).astype(float), before, after


def test_a_judge_that_only_likes_length_is_seen_through():
    wins, before, after = duels(1000, 0, 0.0, 2.5)
    raw, found = win_rate(np.zeros(1000), wins - 0.5), length_controlled_win_rate(wins, before, after)
    assert raw.low > 0.65
    assert found.low < 0.5 < found.high and abs(found.value - 0.5) < 0.06


def test_even_one_that_never_errs():
    _, before, after = duels(1000, 1, 0.0, 0.0)
    wins = np.where(after > before, 1.0, np.where(after < before, 0.0, 0.5))
    found = length_controlled_win_rate(wins, before, after)
    assert wins.mean() > 0.7
    assert found.low < 0.5 < found.high


def test_what_is_really_better_stays_better_though_it_is_shorter():
    wins, before, after = duels(1000, 2, 1.0, 2.5, longer=-25)
    raw, found = win_rate(np.zeros(1000), wins - 0.5), length_controlled_win_rate(wins, before, after)
    assert raw.high < expit(1.0) - 0.1
    assert found.low <= expit(1.0) <= found.high and found.low > 0.6


def test_without_a_love_of_length_it_is_the_win_rate():
    wins, before, after = duels(2000, 3, 0.4, 0.0)
    found = length_controlled_win_rate(wins, before, after)
    assert found.value == pytest.approx(wins.mean(), abs=0.03)


def test_the_sides_swapped_give_the_other_share():
    wins, before, after = duels(300, 4, 0.5, 1.0)
    found, other = length_controlled_win_rate(wins, before, after), length_controlled_win_rate(1 - wins, after, before)
    assert found.value == pytest.approx(1 - other.value)
    assert (found.low, found.high) == pytest.approx((1 - other.high, 1 - other.low), abs=0.01)


def test_the_fit_is_the_penalised_likelihoods_maximum():
    """Firth 1993: the likelihood times the root of the information's determinant, found by another way."""
    rng = np.random.default_rng(5)
    design = np.stack([np.ones(60), rng.normal(size=60)], axis=1)
    won = rng.choice([0, 0.5, 1], 60)

    def loss(b):
        p = expit(design @ b)
        information = design.T @ (design * (p * (1 - p))[:, None])
        return -(won * np.log(p) + (1 - won) * np.log(1 - p)).sum() - np.linalg.slogdet(information)[1] / 2

    assert fit_logistic(design, won) == pytest.approx(minimize(loss, np.zeros(2), tol=1e-12).x, abs=1e-5)


def test_the_interval_holds_the_truth():
    held = 0
    for i in range(600):
        wins, before, after = duels(200, 100 + i, 0.6, 1.5)
        found = length_controlled_win_rate(wins, before, after, 500, i)
        held += found.low <= expit(0.6) <= found.high
    assert 0.93 <= held / 600 <= 0.97


def test_nothing_is_said_of_equal_lengths_where_none_were_near():
    wins = np.array([1.0, 0.0, 1.0, 1.0])
    assert length_controlled_win_rate(wins, np.full(4, 10), np.array([12, 15, 20, 11])) is None
    assert length_controlled_win_rate(np.full(4, np.nan), np.full(4, 10), np.array([1, 20, 3, 40])) is None


def test_where_length_explains_nothing_it_is_the_plain_interval():
    wins, lengths = np.array([1.0, 0.0, 1.0, 1.0] * 10), np.arange(40)
    assert length_controlled_win_rate(wins, lengths, lengths) == win_rate(np.zeros(40), wins - 0.5)
    found = length_controlled_win_rate(np.ones(40), lengths, lengths[::-1])
    assert found.value == 1 and 0.88 < found.low < 0.95
    assert length_controlled_win_rate(np.append(wins, np.nan), np.append(lengths, 1), np.append(lengths, 9)).n == 40
