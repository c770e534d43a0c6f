"""Support vectors against scikit-learn, an exact quadratic programme and the first-order condition."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.sparse import csr_matrix
from sklearn.svm import LinearSVC

from trueline.reward.design import Design
from trueline.reward.solvers import EPSILON, ranking_svm, support_vector_regression

PENALTIES = (0.1, 1.0, 30.0)


def design(x):
    return Design(csr_matrix(x[:, :5]), x[:, 5:])


def pairs(n=120, f=12, seed=1):
    rng = np.random.default_rng(seed)
    x, truth = rng.normal(size=(n, f)), rng.normal(size=f)
    y = np.where(rng.random(n) < 1 / (1 + np.exp(-x @ truth)), 1.0, -1.0)
    return x, y, rng.integers(1, 4, n).astype(float)


def ratings(n=60, f=9, seed=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, f))
    return x, x @ rng.normal(size=f) + 3 + rng.normal(size=n), rng.integers(1, 5, n).astype(float)


def test_ranking_svm_equals_scikit_learn_on_differences():
    """LinearSVC minimises |w|^2 / 2 + C sum weights hinge^2: the same with C = 1 / penalty."""
    x, y, weights = pairs()
    for penalty, (w, b) in zip(PENALTIES, ranking_svm(design(x), y, weights, PENALTIES), strict=True):
        model = LinearSVC(C=1 / penalty, loss="squared_hinge", fit_intercept=False, dual=True, tol=1e-9, max_iter=10**6)
        model.fit(x, y, sample_weight=weights)
        np.testing.assert_allclose(w, model.coef_[0], atol=1e-4)
        assert b == 0


def test_regression_is_at_the_minimum_of_its_problem():
    """The problem is convex, so where its slope is 0 it is solved; the slope is taken by finite differences."""
    x, y, weights = ratings(n=25, f=6)
    epsilon = EPSILON * y.std()
    for penalty, (w, b) in zip(PENALTIES, support_vector_regression(design(x), y, weights, PENALTIES), strict=True):

        def cost(point, penalty=penalty):
            gap = np.maximum(0, np.abs(y - x @ point[:-1] - point[-1]) - epsilon)
            return weights @ gap**2 + penalty / 2 * point[:-1] @ point[:-1]

        point = np.append(w, b)
        assert np.abs(approx_fprime(point, cost, 1e-6)).max() < 1e-2
        rng = np.random.default_rng(0)
        assert all(cost(point + rng.normal(0, size, 7)) >= cost(point) for size in (1e-3, 0.1, 1) for _ in range(50))


def test_small_errors_cost_nothing():
    """Within epsilon nothing pulls: two points less than 2 epsilon apart leave the slope at 0."""
    x, y = np.array([[-1.0], [1.0], [1.0], [-1.0]]), np.array([1.0, 1.09, 3.0, 3.09])
    x = np.hstack([x, np.zeros((4, 5))])
    [(w, b)] = support_vector_regression(design(x), y, np.ones(4), (1.0,))
    assert abs(w[0]) < 1e-5 and b == pytest.approx(y.mean(), abs=1e-3)


@pytest.mark.parametrize(("fit", "make"), [(ranking_svm, pairs), (support_vector_regression, ratings)])
def test_a_weight_of_two_is_the_label_twice(fit, make):
    x, y, _ = make()
    # The deviation of y is what epsilon is measured by: all labels twice, or none.
    [(a, p)] = fit(design(x), y, np.full(len(y), 2.0), (1.0,))
    [(b, q)] = fit(design(np.vstack([x, x])), np.concatenate([y, y]), np.ones(2 * len(y)), (1.0,))
    np.testing.assert_allclose(a, b, atol=1e-5)
    assert p == pytest.approx(q, abs=1e-5)


def test_a_heavier_label_is_met_more_closely():
    x, y, weights = ratings()
    heavy = weights.copy()
    heavy[7] *= 500
    rest = [
        abs(y[7] - x[7] @ w - b)
        for each in (weights, heavy)
        for w, b in support_vector_regression(design(x), y, each, (1.0,))
    ]
    assert rest[1] < rest[0] / 2


def test_the_side_shown_first_does_not_matter():
    x, y, weights = pairs()
    turn = np.where(np.arange(len(y)) % 3, 1.0, -1.0)
    [(one, _)] = ranking_svm(design(x), y, weights, (1.0,))
    [(other, _)] = ranking_svm(design(x * turn[:, None]), y * turn, weights, (1.0,))
    np.testing.assert_allclose(one, other, atol=1e-5)
