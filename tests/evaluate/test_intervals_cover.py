"""The intervals of reports hold the truth in 95 of 100 evaluations: exactly where cases can be listed, or simulated."""

import numpy as np
import pytest
from scipy.stats import binom, multinomial

from trueline.evaluate.statistics import bootstrap_mean, paired_difference, ratio, wilson, win_rate

N = 200
LEAST, MOST = 0.935, 0.965


def coverage_of_verdicts(interval, gained, lost, truth):
    """Exactly: over all numbers of prompts gained and lost that are at all likely."""
    ups, downs = np.meshgrid(np.arange(N + 1), np.arange(N + 1), indexing="ij")
    possible = ups + downs <= N
    counts = np.stack([ups[possible], downs[possible], N - (ups + downs)[possible]], axis=1)
    chance = multinomial.pmf(counts, N, [gained, lost, 1 - gained - lost])
    likely = chance > 1e-7
    held = 0.0
    for (up, down, _), p in zip(counts[likely], chance[likely], strict=True):
        found = interval(up, down)
        held += p * (found.low <= truth <= found.high)
    return held / chance[likely].sum()


def difference(up, down):
    return paired_difference(*verdicts_that_differ(up, down))


def verdicts_that_differ(up, down):
    before, after = np.zeros(N), np.zeros(N)
    after[:up], before[up : up + down] = 1, 1
    return before, after


def coverage_of_shares(interval, share):
    """Exactly, the mean over shares around this one: of a count it saws up and down (Brown, Cai and DasGupta 2001)."""
    found = [interval(hits) for hits in range(N + 1)]
    held = [
        binom.pmf(np.arange(N + 1), N, near) @ np.array([i.low <= near <= i.high for i in found])
        for near in np.linspace(0.8 * share, min(1.2 * share, 1 - 0.8 * (1 - share)), 41)
    ]
    return np.mean(held)


@pytest.mark.parametrize("share", [0.03, 0.1, 0.25, 0.5, 0.8, 0.97])
def test_of_shares(share):
    assert LEAST <= coverage_of_shares(lambda hits: wilson(hits, N), share) <= MOST
    assert LEAST <= coverage_of_shares(lambda hits: bootstrap_mean(np.arange(N) < hits), share) <= MOST


@pytest.mark.parametrize("share", [0.5, 0.6, 0.9])
def test_of_a_win_rate_without_ties(share):
    even = np.full(N, 0.5)
    assert LEAST <= coverage_of_shares(lambda hits: win_rate(even, (np.arange(N) < hits) * 1.0), share) <= MOST


@pytest.mark.parametrize(("gained", "lost"), [(0.05, 0.05), (0.1, 0.02), (0.2, 0.1)])
def test_of_paired_verdicts(gained, lost):
    held = coverage_of_verdicts(difference, gained, lost, gained - lost)
    assert LEAST <= held <= MOST


def test_of_paired_verdicts_that_hardly_change_are_wider_rather_than_narrower():
    held = coverage_of_verdicts(difference, 0.01, 0.005, 0.005)
    assert held >= LEAST


@pytest.mark.parametrize(("won", "lost"), [(0.5, 0.3), (0.7, 0.2), (0.2, 0.2)])
def test_of_a_win_rate_with_ties(won, lost):
    truth = won + (1 - won - lost) / 2
    held = coverage_of_verdicts(lambda up, down: win_rate(*verdicts_that_differ(up, down)), won, lost, truth)
    assert LEAST <= held <= MOST


def simulated(draw, interval, truth, runs):
    rng = np.random.default_rng(7)
    found = [interval(draw(rng), i) for i in range(runs)]
    return np.mean([i.low <= truth <= i.high for i in found])


SCORES = {
    "middling": (lambda rng: rng.beta(2, 5, N), 2 / 7),
    "nearly all good": (lambda rng: rng.beta(8, 0.8, N), 8 / 8.8),
    "grades": (lambda rng: rng.choice([0, 0.25, 0.5, 0.75, 1], N, p=[0.05, 0.05, 0.1, 0.2, 0.6]), 0.8125),
    "a tenth is not 0": (lambda rng: rng.random(N) * (rng.random(N) < 0.1), 0.05),
}


@pytest.mark.parametrize("kind", SCORES)
def test_of_a_mean_score(kind):
    draw, truth = SCORES[kind]
    held = simulated(draw, lambda values, seed: bootstrap_mean(values, 500, seed), truth, 1500)
    assert LEAST <= held <= MOST


DIFFERENCES = {
    "of every answer": (lambda rng: rng.beta(2, 5, (2, N)), 0.0),
    "of few answers": (lambda rng: np.stack([np.zeros(N), rng.uniform(-1, 1, N) * (rng.random(N) < 0.06)]), 0.0),
    "upwards": (lambda rng: np.stack([rng.beta(3, 2, N), rng.beta(6, 2, N)]), 0.15),
}


@pytest.mark.parametrize("kind", DIFFERENCES)
def test_of_a_paired_difference_of_scores(kind):
    draw, truth = DIFFERENCES[kind]
    held = simulated(draw, lambda sides, seed: paired_difference(*sides), truth, 3000)
    assert LEAST <= held <= MOST


def test_of_a_ratio_of_sums():
    def draw(rng):
        tokens = rng.integers(5, 80, N)
        return rng.normal(0.1 * tokens, 0.5 * np.sqrt(tokens)), tokens

    assert LEAST <= simulated(draw, lambda both, seed: ratio(*both, 500, seed), 0.1, 1500) <= MOST
