"""Dawid-Skene and Bradley-Terry against other implementations, and against what was planted."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from trueline.feedback.quality import dawid_skene as ds
from trueline.feedback.quality.bradley_terry import Duel, bradley_terry
from trueline.feedback.quality.components import BlockInverse, blocks_of, components
from trueline.feedback.quality.crowd_newton import Priors
from trueline.feedback.quality.dawid_skene import dawid_skene
from trueline.feedback.quality.votes import Vote

# What crowd-kit 1.4.2 makes of these (numpy 2.4.6, pandas 3.1.1, in a venv of its own), an item a column; dee knows one
# word, eve one item: m = DawidSkene(n_iter, tol=-inf).fit(frame of task, worker, label) for each n_iter, and then
# m.probas_, m.priors_, m.errors_, rounded to 8 places; rows of a person's matrix are true labels. Its own stopping rule
# counts the prior once a vote, not once an item, so that steps are compared by their number.
SAID = {
    "ada": "012.0121001.20",
    "bo": "01210.21002120",
    "cy": ".11201220012.1",
    "dee": "11111.11111111",
    "eve": "......2.......",
}
CROWD_KIT = {
    4: {
        "posterior": [
            [0.99999998, 2e-08, 0.0],
            [0.0, 0.99243377, 0.00756623],
            [0.0, 0.00906957, 0.99093043],
            [0.0, 0.91039347, 0.08960653],
            [1.0, 0.0, 0.0],
            [0.0, 0.94848402, 0.05151598],
            [0.0, 0.0078027, 0.9921973],
            [0.0, 0.99120495, 0.00879505],
            [1.0, 0.0, 0.0],
            [1.0, 0.0, 0.0],
            [0.0, 0.80599288, 0.19400712],
            [0.0, 0.91039347, 0.08960653],
            [0.0, 0.008404, 0.991596],
            [0.99999996, 4e-08, 0.0],
        ],
        "prior": [0.35714285, 0.39886992, 0.24398722],
        "ada": [[1.0, 0.0, 0.0], [1e-08, 0.99328363, 0.00671636], [0.0, 0.08091322, 0.91908678]],
        "cy": [[0.75000001, 0.24999999, 0.0], [0.0, 0.49427754, 0.50572246], [0.0, 0.5131618, 0.4868382]],
        "dee": [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]],
    },
    5000: {
        "posterior": [
            [1.0, 0.0, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 1.0],
            [0.0, 1.0, 0.0],
            [1.0, 0.0, 0.0],
            [0.0, 0.62771868, 0.37228132],
            [0.0, 0.0, 1.0],
            [0.0, 1.0, 0.0],
            [1.0, 0.0, 0.0],
            [1.0, 0.0, 0.0],
            [0.0, 0.0, 1.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 1.0],
            [1.0, 0.0, 0.0],
        ],
        "prior": [0.35714286, 0.33055133, 0.31230581],
        "ada": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.31385934, 0.68614066]],
        "cy": [[0.75, 0.25, 0.0], [0.0, 0.35173242, 0.64826758], [0.0, 0.70346483, 0.29653517]],
        "dee": [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]],
    },
}


def said():
    return [Vote(f"{i:02}", name, int(v)) for name, row in SAID.items() for i, v in enumerate(row) if v != "."]


@pytest.mark.parametrize("iterations", list(CROWD_KIT))
def test_dawid_skene_is_crowd_kits(iterations):
    known = CROWD_KIT[iterations]
    found = dawid_skene(said(), iterations, tolerance=-np.inf)
    order = np.argsort(found.items)
    assert found.iterations == iterations and found.values == (0, 1, 2)
    assert np.abs(found.posterior[order] - known["posterior"]).max() < 1e-6
    assert np.abs(found.prior - known["prior"]).max() < 1e-6
    for name in ("ada", "cy", "dee"):
        assert np.abs(found.confusion[found.annotators.index(name)] - known[name]).max() < 1e-6


def test_dawid_skene_converges_by_itself():
    found = dawid_skene(said())
    order = np.argsort(found.items)
    assert found.converged and found.iterations < 1_000
    assert np.abs(found.posterior[order] - CROWD_KIT[5000]["posterior"]).max() < 1e-4
    assert found.confusion.sum(2) == pytest.approx(1) and found.labels["06"] == 2
    assert found.confusion[4, 0] == pytest.approx(1 / 3)  # eve's one item is no 0


def test_its_bound_never_falls(monkeypatch):
    bounds, bound = [], ds._bound
    monkeypatch.setattr(ds, "_bound", lambda *a: bounds.append(bound(*a)) or bounds[-1])
    dawid_skene(said(), 60, tolerance=-np.inf)
    assert all(after > before - 1e-9 for before, after in pairwise(bounds)) and bounds[-1] > bounds[0] + 0.01


def test_dawid_skene_knows_better_than_the_majority():
    # shared/METHODS.md, section 7: .909 against .738 for these six people.
    rng = np.random.default_rng(0)
    truth, skill = rng.integers(0, 2, 2000), [0.95, 0.9, 0.6, 0.55, 0.55, 0.3]
    right = rng.random((2000, 6)) < skill
    asked = rng.random((2000, 6)) < 0.7
    given = np.where(right, truth[:, None], 1 - truth[:, None])
    found = dawid_skene([Vote(f"{i}", f"p{j}", int(given[i, j])) for i, j in np.argwhere(asked)])
    assert np.mean([found.labels.get(f"{i}") == t for i, t in enumerate(truth)]) == pytest.approx(0.909, abs=0.02)
    assert found.accuracy == pytest.approx(skill, abs=0.04)


def test_dawid_skene_of_nothing_and_of_one_word():
    assert dawid_skene([]).posterior.shape == (0, 0)
    found = dawid_skene([Vote(i, p, "yes") for i in "ab" for p in "pq"])
    assert found.converged and found.posterior.tolist() == [[1], [1]] and found.labels == {"a": "yes", "b": "yes"}


PLAIN = {"factor": 0.0, "reliability": 0.0, "side": 0.0}


def duels(rng, scores, theta, side, n, size):
    """n duels among groups of `size` completions."""
    group, a = rng.integers(0, len(scores) // size, n), rng.integers(0, size, n)
    b = (a + rng.integers(1, size, n)) % size
    left, right, who = group * size + a, group * size + b, rng.integers(0, len(theta), n)
    eta = theta[who] * (scores[right] - scores[left]) + side[who]
    won = rng.random(n) < 1 / (1 + np.exp(-eta))
    return [
        Duel(f"{a:05}", f"{b:05}", f"p{j:02}", 1 if w else -1) for a, b, j, w in zip(left, right, who, won, strict=True)
    ]


def test_plain_bradley_terry_is_logistic_regression():
    rng = np.random.default_rng(0)
    given = duels(rng, rng.normal(0, 1, 6), np.ones(3), np.zeros(3), 300, 6)
    found = bradley_terry(given, Priors(score=1.5, **PLAIN))
    place = {name: i for i, name in enumerate(found.completions)}
    x = np.zeros((300, 6))
    for row, d in zip(x, given, strict=True):
        row[place[d.right]], row[place[d.left]] = 1, -1
    y = [d.preference > 0 for d in given]
    theirs = LogisticRegression(C=1.5**2, fit_intercept=False, tol=1e-12, max_iter=10_000).fit(x, y)
    assert found.converged and found.scores == pytest.approx(theirs.coef_[0], abs=1e-5)
    assert found.reliabilities.tolist() == [1, 1, 1] and found.sides.tolist() == [0, 0, 0]
    # Standard errors of what is left once a common level is taken away, by the textbook: the inverse information.
    p = theirs.predict_proba(x)[:, 1]
    centre = np.eye(6) - 1 / 6
    covariance = centre @ np.linalg.inv((x.T * (p * (1 - p))) @ x + np.eye(6) / 1.5**2) @ centre
    assert found.score_errors == pytest.approx(np.sqrt(np.diag(covariance)), rel=1e-4)


def test_two_completions_and_a_flat_prior_give_the_logarithm_of_wins_to_losses():
    given = [Duel("a", "b", "p", 2)] * 6 + [Duel("b", "a", "p", 1)] * 2 + [Duel("a", "b", "p", 0)] * 4
    found = bradley_terry(given, Priors(score=100, **PLAIN))
    b_over_a = found.scores[1] - found.scores[0]
    assert b_over_a == pytest.approx(np.log(8 / 4), abs=1e-4)  # ties are half wins
    assert found.scores.sum() == pytest.approx(0, abs=1e-6)
    # Var of a log odds: 1 / 8 + 1 / 4; each score is half of the difference.
    assert found.score_errors == pytest.approx(np.sqrt(1 / 8 + 1 / 4) / 2, rel=1e-4)


@pytest.mark.parametrize(("size", "n"), [(40, 8_000), (4, 20_000), (2, 8_000)])
def test_what_was_planted_is_recovered(size, n):
    """Also where a completion has only 8 judgements: maximised together with the scores, θ would run away there."""
    rng = np.random.default_rng([1, size])
    scores = rng.normal(0, 1.2, (40 if size == 40 else 2000, 1))[:, 0]
    rho, side = rng.normal(0, 0.5, 12), rng.normal(0, 0.4, 12)
    theta = np.exp(rho - rho.mean())
    found = bradley_terry(duels(rng, scores, theta, side, n, size))
    centred = scores.reshape(-1, size) - scores.reshape(-1, size).mean(1, keepdims=True)
    truth = centred.ravel()[[int(name) for name in found.completions]]
    assert found.converged and found.reliabilities.min() > 0
    assert np.exp(np.log(found.reliabilities).mean()) == pytest.approx(1)
    assert np.log(found.reliabilities) == pytest.approx(np.log(theta), abs=0.3)
    assert found.sides == pytest.approx(side, abs=0.35)
    assert np.corrcoef(found.scores, truth)[0, 1] > (0.98 if size == 40 else 0.8)
    assert found.score_spread == pytest.approx(1.2, rel=0.3)
    # Errors say how far off it is: squares of (found − truth) / error are 1 in the middle.
    # Over 12 seeds that mean is .94, with a deviation of .27, for 40 completions, and 1.15 and .07 for 2,000.
    low, high = (0.3, 1.9) if size == 40 else (0.9, 1.4)
    assert low < np.mean(((found.scores - truth) / found.score_errors) ** 2) < high
    assert 0.2 < np.mean(((found.sides - side) / found.side_errors) ** 2) < 2.4
    log_error = found.reliability_errors / found.reliabilities
    assert 0.2 < np.mean(((np.log(found.reliabilities) - np.log(theta)) / log_error) ** 2) < 3


def test_who_answers_at_random_weighs_little_but_is_not_left_out():
    rng = np.random.default_rng(2)
    scores, theta = rng.normal(0, 1.5, 30), np.array([2.0, 2.0, 2.0, 1e-6])
    given = duels(rng, scores, theta, np.zeros(4), 6_000, 30)
    contrary = [Duel(d.left, d.right, "q", -d.preference) for d in given[:800] if d.annotator == "p00"]
    found = bradley_terry(given + contrary)
    weight = dict(zip(found.annotators, found.reliabilities, strict=True))
    assert 0 < weight["q"] < 0.2 * weight["p00"] and 0 < weight["p03"] < 0.2 * weight["p00"]
    truth = scores[[int(name) for name in found.completions]]
    equal = bradley_terry(given + contrary, Priors(reliability=0.0))
    assert np.corrcoef(found.scores, truth)[0, 1] > np.corrcoef(equal.scores, truth)[0, 1]


def test_a_lover_of_one_side_is_found():
    given = [Duel("a", "b", "p", 1), Duel("b", "a", "p", 1)] * 40 + [
        Duel("a", "b", "q", 1),
        Duel("b", "a", "q", -1),
    ] * 40
    found = bradley_terry(given)
    assert found.sides[0] > 1.5 and abs(found.sides[1]) < 0.4 and found.scores[1] > found.scores[0]
    assert found.sides[0] > 3 * found.side_errors[0]


def test_bradley_terry_at_the_edges():
    assert bradley_terry([]).completions == ()
    one = bradley_terry([Duel("a", "b", "p", 1)])
    assert one.converged and one.scores[1] > 0 > one.scores[0] and np.isfinite(one.score_errors).all()
    always = bradley_terry([Duel("a", "b", "p", 3)] * 500)
    assert always.converged and np.isfinite(always.scores).all()
    with pytest.raises(ValueError, match="'a' is compared with itself"):
        bradley_terry([Duel("a", "a", "p", 1)])


def test_components_and_their_inverse():
    left, right = np.array([0, 1, 4, 6, 7]), np.array([1, 2, 3, 5, 6])
    group = components(left, right, 9)
    assert group.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3]
    weight = np.array([1.0, 2, 0.5, 3, 0])
    a = 0.25 * np.eye(9)
    for k, m, w in zip(left, right, weight, strict=True):
        a[[k, m], [k, m]] += w
        a[[k, m], [m, k]] -= w
    truth = np.linalg.inv(a)
    found = BlockInverse.of(blocks_of(left, right, group), weight, 0.25)
    x = np.random.default_rng(0).normal(size=(9, 2))
    assert found.times(x) == pytest.approx(truth @ x) and found.diagonal(9) == pytest.approx(np.diag(truth))
    spread = [truth[m, m] + truth[k, k] - 2 * truth[k, m] for k, m in zip(left, right, strict=True)]
    assert found.spread(5) == pytest.approx(spread)
    chain = np.random.default_rng(1).permutation(300)
    assert (components(chain[:-1], chain[1:], 300) == 0).all()


def test_what_a_side_may_explain_makes_scores_unsure():
    given = [Duel("a", "b", "p", won) for won in (1, -1)] * 2_000
    found = bradley_terry(given, Priors(score=1.0, side=1.0, factor=0.0, reliability=0.0))
    # Only difference + side is known, with priors of variance 2 and 1: 2/3 is left of each.
    assert found.score_errors == pytest.approx(np.sqrt(2 / 3) / 2, rel=0.01)
    assert found.side_errors == pytest.approx(np.sqrt(2 / 3), rel=0.01)
