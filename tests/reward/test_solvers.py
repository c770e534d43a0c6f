"""The two solvers against scikit-learn and closed forms."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression, Ridge

from trueline.reward.solvers import DENSE_COLUMNS, bradley_terry, ridge

PENALTIES = (0.01, 1.0, 30.0)


def problem(n=80, f=30, seed=0):
    """Sparse rows, some features never seen, uneven weights."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, f)) * (rng.random((n, f)) < 0.4)
    x[:, 3] = 0
    y = x @ rng.normal(size=f) + 2.5 + rng.normal(size=n)
    return csr_matrix(x), y, rng.integers(1, 20, n).astype(float)


@pytest.mark.parametrize(("n", "f"), [(80, 30), (20, 60)])
def test_ridge_equals_scikit_learn_with_sample_weights(n, f):
    x, y, weights = problem(n, f)
    for penalty, (w, b) in zip(PENALTIES, ridge(x, y, weights, PENALTIES), strict=True):
        model = Ridge(alpha=penalty, solver="svd").fit(x.toarray(), y, sample_weight=weights)
        np.testing.assert_allclose(w, model.coef_, atol=1e-6)
        assert abs(b - model.intercept_) < 1e-6


def test_ridge_meets_its_first_order_condition():
    """At the minimum the gradient of sum weights (y - xw - b)^2 + penalty |w|^2 is zero."""
    x, y, weights = problem()
    for penalty, (w, b) in zip(PENALTIES, ridge(x, y, weights, PENALTIES), strict=True):
        rest = weights * (y - x @ w - b)
        np.testing.assert_allclose(x.T @ rest, penalty * w, atol=1e-8)
        assert abs(rest.sum()) < 1e-8


def test_ridge_of_one_feature_is_the_closed_form():
    x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 1.0, 2.0, 4.0])
    [(w, b)] = ridge(csr_matrix(x[:, None]), y, np.ones(4), (5.0,))
    slope = ((x - 1.5) @ (y - 2)) / ((x - 1.5) @ (x - 1.5) + 5)
    assert w[0] == pytest.approx(slope) and b == pytest.approx(2 - 1.5 * slope)


def test_many_columns_take_another_way_to_the_same_answer():
    x, y, weights = problem(n=60, f=DENSE_COLUMNS + 500)
    for penalty, (w, b) in zip((5.0,), ridge(x, y, weights, (5.0,)), strict=True):
        model = Ridge(alpha=penalty, solver="svd").fit(x.toarray(), y, sample_weight=weights)
        np.testing.assert_allclose(w, model.coef_, atol=1e-4)
        assert abs(b - model.intercept_) < 1e-3


def test_a_weight_of_two_is_the_row_twice():
    x, y, _ = problem()
    weights = np.where(np.arange(80) < 10, 2.0, 1.0)
    twice = csr_matrix(np.vstack([x.toarray(), x.toarray()[:10]]))
    for fit, target in ((ridge, y), (bradley_terry, np.sign(y - y.mean()))):
        [(a, _)] = fit(x, target, weights, (1.0,))
        [(b, _)] = fit(twice, np.concatenate([target, target[:10]]), np.ones(90), (1.0,))
        np.testing.assert_allclose(a, b, atol=1e-3 if fit is bradley_terry else 1e-9)


def test_bradley_terry_equals_scikit_learn_logistic_on_differences():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 120, 12))
    truth = rng.normal(size=12)
    sign = np.where(rng.random(120) < 1 / (1 + np.exp(-(b - a) @ truth)), 1.0, -1.0)
    weights = rng.integers(1, 4, 120).astype(float)
    found = bradley_terry(csr_matrix(b - a), sign, weights, PENALTIES)
    for penalty, (w, intercept) in zip(PENALTIES, found, strict=True):
        model = LogisticRegression(C=1 / penalty, fit_intercept=False, solver="newton-cholesky", tol=1e-10)
        model.fit(b - a, sign, sample_weight=weights)
        np.testing.assert_allclose(w, model.coef_[0], atol=2e-3)
        assert intercept == 0
        loss = lambda v, p=penalty: weights @ np.logaddexp(0, -sign * ((b - a) @ v)) + p / 2 * v @ v  # noqa: E731
        assert loss(w) <= minimize(loss, np.zeros(12)).fun + 1e-4


def test_two_players_differ_by_the_log_odds():
    """A beats B in 30 of 40: with hardly any penalty the strengths differ by ln 3."""
    x = csr_matrix(np.tile([1.0, -1.0], (40, 1)))
    sign = np.where(np.arange(40) < 30, 1.0, -1.0)
    [(w, _)] = bradley_terry(x, sign, np.ones(40), (1e-6,))
    assert w[0] - w[1] == pytest.approx(np.log(3), abs=1e-3)


def test_the_side_shown_first_does_not_matter():
    x, y, weights = problem()
    sign = np.sign(y - y.mean())
    turn = np.where(np.arange(80) % 3, 1.0, -1.0)
    [(one, _)] = bradley_terry(x, sign, weights, (1.0,))
    [(other, _)] = bradley_terry(csr_matrix(x.multiply(turn[:, None])), sign * turn, weights, (1.0,))
    np.testing.assert_allclose(one, other, atol=1e-3)
    [(always_b, _)] = bradley_terry(csr_matrix(x.multiply(sign[:, None])), np.ones(80), weights, (1.0,))
    np.testing.assert_allclose(one, always_b, atol=1e-3)
