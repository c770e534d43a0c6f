"""Ridge and Bradley-Terry against scikit-learn and closed forms; the penalty by cross-validation."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression, Ridge

from trueline.reward.design import Design
from trueline.reward.labels import Pairs, Targets
from trueline.reward.solvers import PRIMAL_COLUMNS, Problem, bradley_terry, cross_validate, fold_of, ridge, thinned

PENALTIES = (0.01, 1.0, 30.0)


def design(x, dense=4):
    """The last columns dense, the others sparse."""
    x = x.toarray() if hasattr(x, "toarray") else np.asarray(x)
    cut = max(0, x.shape[1] - dense)
    return Design(csr_matrix(x[:, :cut]), x[:, cut:])


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
    for penalty, (w, b) in zip(PENALTIES, ridge(design(x), y, weights, PENALTIES), strict=True):
        model = Ridge(alpha=penalty, solver="svd").fit(x.toarray(), y, sample_weight=weights)
        np.testing.assert_allclose(w, model.coef_, atol=1e-6)
        assert abs(b - model.intercept_) < 1e-6


def test_ridge_meets_its_first_order_condition():
    """At the minimum the gradient of sum weights (y - xw - b)^2 + penalty |w|^2 is zero."""
    x, y, weights = problem()
    for penalty, (w, b) in zip(PENALTIES, ridge(design(x), y, weights, PENALTIES), strict=True):
        rest = weights * (y - x @ w - b)
        np.testing.assert_allclose(x.T @ rest, penalty * w, atol=1e-8)
        assert abs(rest.sum()) < 1e-8


def test_ridge_of_one_feature_is_the_closed_form():
    x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 1.0, 2.0, 4.0])
    [(w, b)] = ridge(design(x[:, None]), y, np.ones(4), (5.0,))
    slope = ((x - 1.5) @ (y - 2)) / ((x - 1.5) @ (x - 1.5) + 5)
    assert w[0] == pytest.approx(slope) and b == pytest.approx(2 - 1.5 * slope)


def test_many_rows_and_columns_take_another_way_to_the_same_answer(monkeypatch):
    monkeypatch.setattr("trueline.reward.solvers.DUAL_ROWS", 10)
    x, y, weights = problem(n=60, f=PRIMAL_COLUMNS + 500)
    for penalty, (w, b) in zip((5.0,), ridge(design(x), y, weights, (5.0,)), strict=True):
        model = Ridge(alpha=penalty, solver="svd").fit(x.toarray(), y, sample_weight=weights)
        np.testing.assert_allclose(w, model.coef_, atol=1e-4)
        assert abs(b - model.intercept_) < 1e-3


def test_a_weight_of_two_is_the_row_twice():
    x, y, _ = problem()
    weights = np.where(np.arange(80) < 10, 2.0, 1.0)
    twice = csr_matrix(np.vstack([x.toarray(), x.toarray()[:10]]))
    for fit, target in ((ridge, y), (bradley_terry, np.sign(y - y.mean()))):
        [(a, _)] = fit(design(x), target, weights, (1.0,))
        [(b, _)] = fit(design(twice), np.concatenate([target, target[:10]]), np.ones(90), (1.0,))
        np.testing.assert_allclose(a, b, atol=1e-3 if fit is bradley_terry else 1e-9)


def test_bradley_terry_equals_scikit_learn_logistic_on_differences():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 120, 12))
    truth = rng.normal(size=12)
    sign = np.where(rng.random(120) < 1 / (1 + np.exp(-(b - a) @ truth)), 1.0, -1.0)
    weights = rng.integers(1, 4, 120).astype(float)
    found = bradley_terry(design(b - a), sign, weights, PENALTIES)
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
    [(w, _)] = bradley_terry(design(x), sign, np.ones(40), (1e-6,))
    assert w[0] - w[1] == pytest.approx(np.log(3), abs=1e-3)


def test_the_side_shown_first_does_not_matter():
    x, y, weights = problem()
    sign = np.sign(y - y.mean())
    turn = np.where(np.arange(80) % 3, 1.0, -1.0)
    [(one, _)] = bradley_terry(design(x), sign, weights, (1.0,))
    [(other, _)] = bradley_terry(design(x.multiply(turn[:, None])), sign * turn, weights, (1.0,))
    np.testing.assert_allclose(one, other, atol=1e-3)
    [(always_b, _)] = bradley_terry(design(x.multiply(sign[:, None])), np.ones(80), weights, (1.0,))
    np.testing.assert_allclose(one, always_b, atol=1e-3)


@pytest.mark.parametrize("strip", [1, 7, 2048])
@pytest.mark.parametrize("dense", [0, 7, 30])
def test_a_design_is_the_matrix_that_it_stands_for(monkeypatch, dense, strip):
    """However its rows are cut."""
    monkeypatch.setattr("trueline.reward.design.STRIP", strip)
    rng = np.random.default_rng(2)
    x, _, _ = problem()
    whole, split = x.toarray(), design(x, dense)
    w, v, many = rng.normal(size=30), rng.normal(size=80), rng.normal(size=(3, 30))
    np.testing.assert_allclose(split @ w, whole @ w, atol=1e-12)
    np.testing.assert_allclose(split.T @ v, whole.T @ v, atol=1e-12)
    np.testing.assert_allclose(split.project(many), whole @ many.T, atol=1e-12)
    np.testing.assert_allclose(split.with_gram().gram, whole @ whole.T, atol=1e-12)
    np.testing.assert_allclose(split.mean(), whole.mean(0), atol=1e-12)
    np.testing.assert_allclose(split.spread(), whole.std(0), atol=1e-7)
    np.testing.assert_allclose(split.squared_lengths(), (whole**2).sum(1), atol=1e-12)
    some, mask = np.array([5, 0, 5]), rng.random(30) < 0.5
    assert np.array_equal(split.rows(some).toarray(), whole[some])
    assert np.array_equal(split.columns(mask).toarray(), whole[:, mask])
    more, less = rng.integers(0, 80, (2, 50))
    assert np.array_equal(split.differences(more, less).toarray(), whole[more] - whole[less])
    assert np.array_equal(Design.of_arrays(split.arrays()).toarray(), whole)
    np.testing.assert_allclose(split.with_gram().rows(some).gram, whole[some] @ whole[some].T, atol=1e-12)


def test_a_projected_row_does_not_depend_on_the_others(monkeypatch):
    """To the last bit, on whichever side of a strip's end it stands."""
    monkeypatch.setattr("trueline.reward.design.STRIP", 16)
    x, many = design(problem()[0], dense=13), np.random.default_rng(3).normal(size=(3, 30))
    whole = x.project(many)
    assert np.array_equal(np.concatenate([x.rows(np.array([i])).project(many) for i in range(80)]), whole)
    assert np.array_equal(x.rows(np.arange(5, 80)).project(many), whole[5:])
    assert x.rows(np.arange(0)).project(many).shape == (0, 3)


def test_labels_that_are_not_seen_change_nothing():
    """Solved without them is solved from the others alone, by each method."""
    x, labels, place = ratings_problem()
    sign = np.where(labels.values > labels.values.mean(), 1.0, -1.0)
    pairs = Pairs(labels.ids, labels.ids[::-1], sign, labels.weights, labels.groups)
    seen = np.arange(80) % 4 > 0
    for kind, each in ((kind, each) for kind in ("linear", "svm") for each in (labels, pairs)):
        whole = Problem.of(x, place, each, kind)
        rest = Problem(whole.x.rows(seen), whole.y[seen], whole.weights[seen], whole.folds[seen], whole.method)
        (w, b), (expected, level) = whole.solve(3.0, seen), rest.solve(3.0)
        np.testing.assert_allclose(w, expected, atol=1e-3)
        assert abs(b - level) < 1e-3


def ratings_problem(n_prompts=40, noise=1.0):
    x, y, weights = problem(n=2 * n_prompts, f=10)
    groups = [f"{i // 2:016x}" for i in range(2 * n_prompts)]
    ids = [f"c{i}" for i in range(2 * n_prompts)]
    return design(x), Targets(ids, y, weights, groups), {i: k for k, i in enumerate(ids)}


def test_cross_validation_counts_the_errors_of_folds_never_seen():
    """The same figure from scikit-learn's ridge, fold by fold."""
    x, labels, place = ratings_problem()
    found = cross_validate(Problem.of(x, place, labels, "linear"), PENALTIES)
    fold, whole = np.array([fold_of(labels.groups)[g] for g in labels.groups]), x.toarray()
    errors = {}
    for penalty in PENALTIES:
        total = np.zeros(len(fold))
        for held in (fold == f for f in range(4)):
            model = Ridge(alpha=penalty).fit(whole[~held], labels.values[~held], sample_weight=labels.weights[~held])
            total[held] = (model.predict(whole[held]) - labels.values[held]) ** 2
        errors[penalty] = labels.weights @ total
    best = min(errors, key=errors.get)
    assert found.penalty == best
    assert labels.weights @ found.errors == pytest.approx(errors[best])


def test_a_prompt_is_in_one_fold_and_every_fold_has_some():
    groups = [f"{i % 13:04x}" for i in range(60)]
    found = fold_of(groups)
    counts = np.bincount([found[g] for g in sorted(set(groups))])
    assert set(found) == set(groups) and counts.max() - counts.min() <= 1 and len(counts) == 4


def test_thinned_labels_keep_prompts_whole():
    _, labels, _ = ratings_problem()
    assert thinned(labels, 80) is labels
    some = thinned(labels, 31)
    assert 30 <= len(some.ids) <= 33 and all(some.groups.count(g) == 2 for g in set(some.groups))
    values = dict(zip(labels.ids, labels.values, strict=True))
    assert [values[i] for i in some.ids] == some.values.tolist()
    pairs = Pairs(labels.ids, labels.ids[::-1], np.sign(labels.values), labels.weights, labels.groups)
    few = thinned(pairs, 1)
    assert len(set(few.groups)) == 4 and len(few.a) == len(few.b) == len(few.sign) == 8
