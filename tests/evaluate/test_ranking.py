"""Strengths against closed form, a direct maximum of the likelihood, and simulation."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from trueline.errors import InputError
from trueline.evaluate.ranking import fit_bradley_terry, ranking, wins_by_scores


def simulated(strengths, n, seed=0):
    """(n, v, v): on each prompt every pair meets once."""
    rng, v = np.random.default_rng(seed), len(strengths)
    won = np.zeros((n, v, v))
    for a in range(v):
        for b in range(a):
            first = rng.random(n) < expit(strengths[a] - strengths[b])
            won[:, a, b], won[:, b, a] = first, ~first
    return won


def test_of_two_it_is_the_log_odds_with_half_a_win_for_each():
    won = np.zeros((40, 2, 2))
    won[:30, 1, 0], won[30:, 0, 1] = 1, 1
    base, first = ranking(["base", "round 1"], won)
    assert (base.strength.value, base.strength.low, base.win_probability.value) == (0, 0, 0.5)
    assert first.strength.value == pytest.approx(np.log(30.5 / 10.5))
    assert first.win_probability.value == pytest.approx(30.5 / 41)
    assert first.win_probability.low == pytest.approx(expit(first.strength.low))
    assert first.strength.low < first.strength.value < first.strength.high


def test_it_is_the_direct_maximum_of_the_likelihood():
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 40, (3, 5, 5)) * ~np.eye(5, dtype=bool) / 2
    for won, found in zip(counts, fit_bradley_terry(counts), strict=True):

        def loss(s, won=won):
            s = np.append(0.0, s)
            return -(won * np.log(expit(s[:, None] - s[None, :]))).sum()

        assert found[0] == 0
        assert found[1:] == pytest.approx(minimize(loss, np.zeros(4), tol=1e-12).x, abs=1e-4)


def test_scores_become_wins_ties_and_no_meeting():
    found = wins_by_scores(np.array([[1.0, 2.0, 2.0], [3.0, np.nan, 0.0]]))
    assert found[0].tolist() == [[0, 0, 0], [1, 0, 0.5], [1, 0.5, 0]]
    assert found[1].tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_a_version_that_always_wins_is_strong_but_not_beyond_all_bounds():
    _, first = ranking(["base", "round 1"], wins_by_scores(np.tile([0.0, 1.0], (50, 1))))
    assert first.win_probability.value == pytest.approx(50.5 / 51) and np.isfinite(first.strength.high)


def test_versions_that_never_met_are_told_through_those_between():
    won = simulated([0.0, 0.5, 1.2], 4000)
    won[:, 0, 2] = won[:, 2, 0] = 0
    found = ranking(["base", "round 1", "round 2"], won, 500)
    assert [r.strength.value for r in found] == pytest.approx([0, 0.5, 1.2], abs=0.12)


def test_a_version_that_nothing_leads_to_is_named():
    won = simulated([0.0, 0.5, 1.2], 10)
    won[:, 2, :] = won[:, :, 2] = 0
    with pytest.raises(InputError, match="round 2: never compared with base"):
        ranking(["base", "round 1", "round 2"], won)


def test_intervals_hold_the_truth():
    truth = np.array([0.0, 0.4, 0.8, 0.9])
    held = np.zeros(4)
    for i in range(500):
        found = ranking(["a", "b", "c", "d"], simulated(truth, 150, seed=i), 400, i)
        held += [r.strength.low <= s <= r.strength.high for r, s in zip(found, truth, strict=True)]
    assert held[0] == 500
    assert ((held[1:] / 500 >= 0.925) & (held[1:] / 500 <= 0.975)).all()


def test_prompts_are_drawn_whole():
    """Where each prompt decides all its comparisons, ten of them a prompt are worth no more than one."""
    one = wins_by_scores(np.random.default_rng(2).normal([0, 0.3], 1, (80, 2)))
    few, many = ranking(["a", "b"], one)[1].win_probability, ranking(["a", "b"], 10 * one)[1].win_probability
    assert many.high - many.low == pytest.approx(few.high - few.low, rel=0.05)
    assert few.value == pytest.approx(many.value, abs=0.02)
