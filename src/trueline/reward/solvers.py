"""What finds the weights of a linear score, for several penalties at once, and the cross-validation that picks one.

On ratings: ridge (Hoerl and Kennard 1970) or support vector regression with squared epsilon-insensitive loss (Ho and
Lin 2012). On comparisons, whose rows are feature differences and which need no intercept: Bradley-Terry (1952) or the
ranking SVM (Joachims 2002) with squared hinge, as in Chapelle and Keerthi (2010): squared, so that the loss is smooth.

Letters: n labels, f features, p penalties. y (n,) targets, or +1 and -1; weights (n,) at least 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, cg
from scipy.special import expit

from trueline.reward.design import Design
from trueline.reward.labels import Pairs, Targets

DUAL_ROWS, PRIMAL_COLUMNS, PRECISE = 3000, 4000, 5_000_000
EPSILON = 0.1
FOLDS = 4
ITERATIONS = 1000
Solution = tuple[np.ndarray, float]
Solver = Callable[[Design, np.ndarray, np.ndarray, Sequence[float]], list[Solution]]


def ridge(x: Design, y: np.ndarray, weights: np.ndarray, penalties: Sequence[float]) -> list[Solution]:
    """argmin over w, b of sum weights (y - x w - b)^2 + penalty |w|^2, for each penalty.

    With fewer rows than columns by the inner products of the rows, with few columns by the normal equations: either
    matrix serves every penalty. Beyond both by conjugate gradients.
    """
    n, f = x.shape
    if n < f and n <= DUAL_ROWS:
        return _ridge_by_rows(x if x.gram is not None else x.with_gram(), y, weights, penalties)
    if f <= PRIMAL_COLUMNS:
        return _ridge_by_columns(x, y, weights, penalties)
    return [_ridge_by_steps(x, y, weights, penalty) for penalty in penalties]


def _ridge_by_rows(x: Design, y: np.ndarray, weights: np.ndarray, penalties: Sequence[float]) -> list[Solution]:
    assert x.gram is not None
    share, root = weights / weights.sum(), np.sqrt(weights)
    mean_y, level = float(share @ y), x.gram @ share
    centred = (x.gram - level[:, None] - level + share @ level) * root[:, None] * root
    found, diagonal = [], np.arange(len(y))
    for penalty in penalties:
        regular = centred.copy()
        regular[diagonal, diagonal] += penalty
        dual = root * cho_solve(cho_factor(regular, overwrite_a=True, check_finite=False), root * (y - mean_y))
        found.append((x.T @ dual, mean_y - float(level @ dual)))
    return found


def _ridge_by_columns(x: Design, y: np.ndarray, weights: np.ndarray, penalties: Sequence[float]) -> list[Solution]:
    n, f = x.shape
    mean_x, mean_y = _weighted_mean(x, weights), float(weights @ y / weights.sum())
    gram, right = np.zeros((f, f)), np.zeros(f)
    for i in range(0, n, 1024):
        strip = slice(i, min(i + 1024, n))
        rows = (x.rows(np.arange(n)[strip]).toarray() - mean_x) * np.sqrt(weights[strip])[:, None]
        gram += rows.T @ rows
        right += rows.T @ (np.sqrt(weights[strip]) * (y[strip] - mean_y))
    found = []
    for penalty in penalties:
        regular = gram + penalty * np.eye(f)
        w = cho_solve(cho_factor(regular, overwrite_a=True, check_finite=False), right)
        found.append((w, mean_y - float(mean_x @ w)))
    return found


def _ridge_by_steps(x: Design, y: np.ndarray, weights: np.ndarray, penalty: float) -> Solution:
    mean_x, mean_y, f = _weighted_mean(x, weights), float(weights @ y / weights.sum()), x.shape[1]

    def product(w: np.ndarray) -> np.ndarray:
        rest = weights * (x @ w - mean_x @ w)
        return np.asarray(x.T @ rest - mean_x * rest.sum() + penalty * w)

    rest = weights * (y - mean_y)
    right = x.T @ rest - mean_x * rest.sum()
    w, _ = cg(LinearOperator((f, f), matvec=product, dtype=np.float64), right, rtol=1e-7, maxiter=ITERATIONS)
    return w, mean_y - float(mean_x @ w)


def _weighted_mean(x: Design, weights: np.ndarray) -> np.ndarray:
    return np.asarray(x.T @ (weights / weights.sum()))


def bradley_terry(x: Design, y: np.ndarray, weights: np.ndarray, penalties: Sequence[float]) -> list[Solution]:
    """argmin over w of sum weights ln(1 + exp(-y x w)) + penalty / 2 |w|^2, y in {-1, +1}, for each penalty."""
    return _minimised(x, y, weights, penalties, _logistic, intercept=False)


def ranking_svm(x: Design, y: np.ndarray, weights: np.ndarray, penalties: Sequence[float]) -> list[Solution]:
    """argmin over w of sum weights max(0, 1 - y x w)^2 + penalty / 2 |w|^2, y in {-1, +1}, for each penalty."""
    return _minimised(x, y, weights, penalties, _hinge, intercept=False)


def support_vector_regression(
    x: Design, y: np.ndarray, weights: np.ndarray, penalties: Sequence[float]
) -> list[Solution]:
    """argmin over w, b of sum weights max(0, |y - x w - b| - epsilon)^2 + penalty / 2 |w|^2, for each penalty.

    epsilon is a tenth of y's standard deviation: errors smaller than that cost nothing.
    """
    return _minimised(x, y, weights, penalties, _insensitive(EPSILON * float(y[weights > 0].std())), intercept=True)


Loss = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def _logistic(y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) losses of predictions z, and their slopes."""
    return np.logaddexp(0, -y * z), -y * expit(-y * z)


def _hinge(y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    gap = np.maximum(0, 1 - y * z)
    return gap**2, -2 * y * gap


def _insensitive(epsilon: float) -> Loss:
    def loss(y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gap = np.maximum(0, np.abs(y - z) - epsilon)
        return gap**2, -2 * gap * np.sign(y - z)

    return loss


def _minimised(
    x: Design, y: np.ndarray, weights: np.ndarray, penalties: Sequence[float], loss: Loss, *, intercept: bool
) -> list[Solution]:
    """By L-BFGS, from the heaviest penalty to the lightest, each from where the last one ended."""
    precise = x.dense.size <= PRECISE
    if precise:
        x = x.precise()
    f, total = x.shape[1], float(weights.sum())
    middle = float(weights @ y / total) if intercept else 0.0
    at, found = np.zeros(f + 1), {}

    def objective(point: np.ndarray, penalty: float) -> tuple[float, np.ndarray]:
        """Per unit of weight, so that one tolerance serves few labels and many."""
        w, b = point[:f], point[f] if intercept else 0.0
        losses, slopes = loss(y - middle if intercept else y, x @ w + b)
        pull = weights * slopes
        slope = np.append(x.T @ pull + penalty * w, pull.sum() if intercept else 0.0)
        return float(weights @ losses + penalty / 2 * (w @ w)) / total, slope / total

    # With float32 the steps below 1e-8 are hardly more than rounding, and a third of the time.
    options = {"maxiter": ITERATIONS, "maxcor": 20, "ftol": 1e-11 if precise else 1e-8, "gtol": 1e-6}
    for penalty in sorted(penalties, reverse=True):
        at = minimize(objective, at, args=(penalty,), jac=True, method="L-BFGS-B", options=options).x
        found[penalty] = at[:f].copy(), middle + float(at[f])
    return [found[penalty] for penalty in penalties]


@dataclass(frozen=True)
class Method:
    """A solver, and the loss of unseen labels by which its penalty is chosen: (n,) of y and predictions."""

    solve: Solver
    loss: Callable[[np.ndarray, np.ndarray], np.ndarray]


def _squared(y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.asarray((y - z) ** 2)


METHODS = {
    ("linear", "ratings"): Method(ridge, _squared),
    ("linear", "comparisons"): Method(bradley_terry, lambda y, z: _logistic(y, z)[0]),
    ("svm", "ratings"): Method(support_vector_regression, _squared),
    ("svm", "comparisons"): Method(ranking_svm, lambda y, z: _hinge(y, z)[0]),
}


_WITH_INTERCEPT = (ridge, support_vector_regression)


@dataclass(frozen=True)
class Problem:
    """One dimension's labels as rows, (n, f), which are differences of features for pairs. folds (n,): 0 to 3."""

    x: Design
    y: np.ndarray
    weights: np.ndarray
    folds: np.ndarray
    method: Method

    @classmethod
    def of(cls, x: Design, place: Mapping[str, int], labels: Targets | Pairs, kind: str) -> Problem:
        """place: the row of each completion in x."""
        fold = fold_of(labels.groups)
        folds = np.array([fold[g] for g in labels.groups])
        if isinstance(labels, Targets):
            rows = x.rows(np.array([place[i] for i in labels.ids]))
            method = METHODS[kind, "ratings"]
            if method.solve is ridge and rows.gram is None and len(folds) <= min(x.shape[1], DUAL_ROWS):
                rows = rows.with_gram()  # serves every fold and penalty
            return cls(rows, labels.values, labels.weights, folds, method)
        a, b = (np.array([place[i] for i in side]) for side in (labels.a, labels.b))
        return cls(x.differences(b, a), labels.sign, labels.weights, folds, METHODS[kind, "comparisons"])

    def solve(self, penalty: float, seen: np.ndarray | None = None) -> Solution:
        """From all labels, or from those where (n,) is true."""
        weights = self.weights if seen is None else self.weights * seen  # no copy of x
        return self.method.solve(self.x, self.y, weights, (penalty,))[0]

    def blind_loss(self) -> float:
        """The mean loss of one prediction for all: the mean rating, or that neither answer is the better."""
        middle = float(self.weights @ self.y / self.weights.sum()) if self.method.solve in _WITH_INTERCEPT else 0.0
        losses = self.method.loss(self.y, np.full(len(self.y), middle))
        return float(self.weights @ losses / self.weights.sum())


def with_shared_gram(x: Design, labels: Sequence[Targets | Pairs], kind: str) -> Design:
    """x, with the inner products of its rows where the ridge problems of several dimensions take their rows from it."""
    several = sum(isinstance(each, Targets) for each in labels) > 1
    n, f = x.shape
    return x.with_gram() if kind == "linear" and several and n <= min(f, DUAL_ROWS) else x


@dataclass(frozen=True)
class Trial:
    """errors: (n,) losses of unseen labels at the best penalty."""

    penalty: float
    errors: np.ndarray


def cross_validate(problem: Problem, penalties: Sequence[float]) -> Trial:
    """The penalty that predicts best the labels of folds that it did not see."""
    x, y, weights, method = problem.x, problem.y, problem.weights, problem.method
    errors = np.zeros((len(y), len(penalties)))
    for fold in np.unique(problem.folds):
        held = problem.folds == fold
        unseen = x.rows(held)
        for k, (w, b) in enumerate(method.solve(x.rows(~held), y[~held], weights[~held], penalties)):
            errors[held, k] = method.loss(y[held], unseen @ w + b)
    best = int(np.argmin(weights @ errors))
    return Trial(penalties[best], errors[:, best])


def fold_of(groups: Sequence[str], folds: int = FOLDS) -> dict[str, int]:
    """Prompts dealt out to the folds in the order of their ids, which are hashes."""
    return {g: i % folds for i, g in enumerate(sorted(set(groups)))}


def thinned(labels: Targets | Pairs, limit: int) -> Targets | Pairs:
    """The labels of as many whole prompts as bring about `limit` of them, in the order of the prompts' ids."""
    if len(labels.groups) <= limit:
        return labels
    groups, counts = np.unique(labels.groups, return_counts=True)
    most = max(FOLDS, int(np.searchsorted(np.cumsum(counts), limit)) + 1)
    kept = np.flatnonzero(np.isin(labels.groups, groups[:most]))

    def some(values: list[str]) -> list[str]:
        return [values[i] for i in kept]

    if isinstance(labels, Targets):
        return Targets(some(labels.ids), labels.values[kept], labels.weights[kept], some(labels.groups))
    a, b, groups_ = some(labels.a), some(labels.b), some(labels.groups)
    return Pairs(a, b, labels.sign[kept], labels.weights[kept], groups_)
