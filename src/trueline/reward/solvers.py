"""The two solvers behind the linear reward, each for several penalties at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix

DENSE_COLUMNS = 4000
Solution = tuple[np.ndarray, float]


def ridge(x: csr_matrix, y: np.ndarray, weights: np.ndarray, penalties: Sequence[float]) -> list[Solution]:
    """argmin over w, b of sum weights (y - x w - b)^2 + penalty |w|^2, for each penalty. (n, f), (n,), (n,) to (f,).

    By the normal equations, whose matrix serves every penalty; beyond 4,000 columns by conjugate gradients.
    """
    if x.shape[1] > DENSE_COLUMNS:
        return [_iterative(x, y, weights, penalty) for penalty in penalties]
    dense = x.toarray()
    total = weights.sum()
    mean_x, mean_y = weights @ dense / total, float(weights @ y / total)
    root = np.sqrt(weights)[:, None]
    centred = (dense - mean_x) * root
    gram, right = centred.T @ centred, centred.T @ ((y - mean_y) * root[:, 0])
    found = []
    for penalty in penalties:
        regular = gram + penalty * np.eye(len(gram))
        w = cho_solve(cho_factor(regular, overwrite_a=True, check_finite=False), right)
        found.append((w, mean_y - float(mean_x @ w)))
    return found


def _iterative(x: csr_matrix, y: np.ndarray, weights: np.ndarray, penalty: float) -> Solution:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=penalty, solver="sparse_cg", tol=1e-6, max_iter=5000)
    model.fit(x, y, sample_weight=weights)
    return np.asarray(model.coef_, dtype=np.float64), float(model.intercept_)


def bradley_terry(x: csr_matrix, y: np.ndarray, weights: np.ndarray, penalties: Sequence[float]) -> list[Solution]:
    """Weighted logistic regression of y in {-1, +1} on differences x, without intercept, for each penalty."""
    from sklearn.linear_model import LogisticRegression

    # Half of the pairs are turned round, so that both classes are there whatever side was shown first.
    turned = np.where(np.arange(len(y)) % 2, 1.0, -1.0)
    flipped = csr_matrix(x.multiply((y * turned)[:, None]))
    found = []
    for penalty in penalties:
        model = LogisticRegression(C=1 / penalty, fit_intercept=False, solver="lbfgs", max_iter=2000, tol=1e-6)
        model.fit(flipped, turned, sample_weight=weights)
        found.append((np.asarray(model.coef_[0], dtype=np.float64), 0.0))
    return found
