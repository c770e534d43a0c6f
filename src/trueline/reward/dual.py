"""A linear score as a sum over the labels that it was learned from, and what it would be without one of them.

The weights minimise sum_i loss(y_i, z_i w + b) + penalty / 2 |w|^2, each loss weighed by its label, so that where the
slopes vanish w = -sum_i loss'_i z_i / penalty: every label has its share in any score (Yeh et al. 2018, representer
points). Without label i the weights are those of one Newton step from where they are, with i's curvature taken out too
(Koh and Liang 2017; Pregibon 1981), which for ridge is exact. Where labels and features are both many, no matrix of
either by itself is made, and what has to be solved is solved by conjugate gradients.

Letters: a answers, n labels, f features, s right sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.sparse import csr_matrix
from scipy.special import expit

from trueline.reward.design import Design, strips
from trueline.reward.solvers import EPSILON

DIRECT = 3000  # labels or features, whichever are fewer, up to which a matrix of them is factored
STEPS, REFINED = 500, 4
# Of a right side, what may be left of it; by steps a leverage's error is only the square of what is left.
CLOSE, NEAR, ROUGH = 1e-8, 1e-6, 3e-3
TINY = 1e-300
Slopes = tuple[np.ndarray, np.ndarray]
Loss = Callable[[np.ndarray, np.ndarray], Slopes]


def _ridge(y: np.ndarray, z: np.ndarray) -> Slopes:
    return z - y, np.ones(len(y))


def _logistic(y: np.ndarray, z: np.ndarray) -> Slopes:
    return -y * expit(-y * z), expit(y * z) * expit(-y * z)


def _hinge(y: np.ndarray, z: np.ndarray) -> Slopes:
    gap = np.maximum(0, 1 - y * z)
    return -2 * y * gap, 2.0 * (gap > 0)


def _insensitive(y: np.ndarray, z: np.ndarray) -> Slopes:
    gap = np.maximum(0, np.abs(y - z) - EPSILON * float(y.std()))
    return -2 * gap * np.sign(y - z), 2.0 * (gap > 0)


# First and second derivatives (n,) of each kind's loss by its prediction, as solvers.py has it, halved for ridge.
DERIVATIVES: dict[tuple[str, str], Loss] = {
    ("linear", "ratings"): _ridge,
    ("linear", "comparisons"): _logistic,
    ("svm", "ratings"): _insensitive,
    ("svm", "comparisons"): _hinge,
}


@dataclass(frozen=True)
class Rows:
    """The labels of one dimension as one model learned from them.

    x (a, f): the answers' features; pick (n, a): which answer a label is about, or of which two it is the difference;
    slope, curve (n,): derivatives of the labels' losses; centre (f,): the mean row, 0 for differences, which have no
    intercept.
    """

    x: Design
    pick: csr_matrix
    slope: np.ndarray
    curve: np.ndarray
    penalty: float
    centre: np.ndarray
    intercept: bool

    @classmethod
    def of(cls, x: Design, pick: csr_matrix, slopes: Slopes, penalty: float, *, intercept: bool) -> Rows:
        slope, curve = slopes
        centre = np.zeros(x.shape[1])
        if intercept:
            centre = _up(x, pick.T @ curve[:, None])[:, 0] / max(curve.sum(), TINY)
        return cls(x, pick, slope, curve, penalty, centre, intercept)

    def left(self, weights: np.ndarray) -> float:
        """How far the slopes are from 0 at weights (f,), as a share of the penalty's own."""
        slope = np.linalg.norm(self._slope(weights)) + abs(self.slope.sum() if self.intercept else 0.0)
        return float(slope / max(self.penalty * np.linalg.norm(weights), TINY))

    def step(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A Newton step from weights (f,): what to take from them, and from the labels' predictions (n,)."""
        found = self._solve(self._slope(weights), CLOSE)
        level = float(self.slope.sum() / max(self.curve.sum(), TINY)) if self.intercept else 0.0
        return found[:, 0], self._down(found)[:, 0] + level

    def _slope(self, weights: np.ndarray) -> np.ndarray:
        return self._up(self.slope[:, None]) + self.penalty * weights[:, None]

    def shares(self, way: np.ndarray) -> np.ndarray:
        """(n,) what each label adds to w·way, for a way (f,) from one answer to another; they sum to it."""
        return -self.slope / self.penalty * self._down(way[:, None])[:, 0]

    def pulls(self, way: np.ndarray) -> np.ndarray:
        """(n,) what each label does to w·way where its own leverage is not counted."""
        return -self.slope * self._down(self._solve(way[:, None], NEAR))[:, 0]

    def leverages(self, labels: np.ndarray) -> np.ndarray:
        """(s,) of some labels: how much of its own prediction each makes, from 0 to under 1."""
        rows = _up(self.x, self.pick[labels].T.toarray()) - self.centre[:, None]
        found = np.einsum("fs,fs->s", rows, self._solve(rows, ROUGH))
        return self._bounded(labels, found)

    @cached_property
    def guess(self) -> np.ndarray:
        """(n,) about the leverage of every label: as if no two features went together."""
        diagonal, k = self._diagonal, self.x.sparse.shape[1]
        pieces = [
            np.stack([sq @ (1 / diagonal[:k]) + de @ (1 / diagonal[k:]), sq.sum(1).A1 + de.sum(1)])
            for sq, de in self._squares()
        ]
        found, lengths = np.concatenate(pieces, axis=1)
        return np.minimum(self._bounded(np.arange(len(self.slope)), found), self._most(lengths))

    def _most(self, lengths: np.ndarray) -> np.ndarray:
        """What a leverage can be at most, of a row of some squared length."""
        return self.curve * lengths / (self.curve * lengths + self.penalty)

    def _bounded(self, labels: np.ndarray, found: np.ndarray) -> np.ndarray:
        level = 1 / max(self.curve.sum(), TINY) if self.intercept else 0.0
        return np.minimum(self.curve[labels] * (found + level), 1 - 1e-9)

    def _solve(self, right: np.ndarray, tolerance: float) -> np.ndarray:
        """(f, s) = H^-1 right, H the curvature (f, f) of what the weights minimise."""
        if min(self.pick.shape[0], self.x.shape[1]) > DIRECT or self._factor is None:
            return self._by_steps(right, tolerance)
        found = self._by_factor(right)
        for _ in range(REFINED):  # the factor is of single precision, since several are kept
            rest = right - self._bent(found)
            if (np.linalg.norm(rest, axis=0) <= CLOSE * np.linalg.norm(right, axis=0)).all():
                break
            found += self._by_factor(rest)
        return found

    def _by_factor(self, right: np.ndarray) -> np.ndarray:
        """About H^-1 right."""
        assert self._factor is not None
        if self.x.shape[1] <= self.pick.shape[0]:
            return np.asarray(cho_solve(self._factor, right.astype(np.float32), check_finite=False), dtype=np.float64)
        root = np.sqrt(self.curve)[:, None]
        inner = cho_solve(self._factor, (root * self._down(right)).astype(np.float32), check_finite=False)
        return (right - self._up(root * inner.astype(np.float64))) / self.penalty

    def _bent(self, v: np.ndarray) -> np.ndarray:
        """(f, s) = H v."""
        return self._up(self.curve[:, None] * self._down(v)) + self.penalty * v

    @cached_property
    def _factor(self) -> tuple[np.ndarray, bool] | None:
        """Of H, or with fewer labels than features of penalty + their inner products; None where single precision is
        too little for it.
        """
        (n, f), root = (self.pick.shape[0], self.x.shape[1]), np.sqrt(self.curve)
        if f <= n:
            inner = np.zeros((f, f))
            for strip in strips(n):
                sparse, dense = self._rows(strip)
                rows = (np.hstack([sparse.toarray(), dense]) - self.centre) * root[strip, None]
                inner += rows.T @ rows
        else:
            sparse, dense = self._rows(slice(None))
            level = self._down(self.centre[:, None])[:, 0] + self.centre @ self.centre
            inner = (sparse @ sparse.T).toarray() + dense @ dense.T
            inner += self.centre @ self.centre - level[:, None] - level
            inner *= root[:, None] * root
        inner[np.diag_indices_from(inner)] += self.penalty
        try:
            return cho_factor(inner.astype(np.float32), overwrite_a=True, check_finite=False)  # type: ignore[no-any-return]
        except LinAlgError:
            return None

    def _by_steps(self, right: np.ndarray, tolerance: float) -> np.ndarray:
        """By conjugate gradients, all right sides at once."""
        found, rest = np.zeros_like(right), right.copy()
        ahead = rest / self._diagonal[:, None]
        way, size = ahead.copy(), np.einsum("fs,fs->s", rest, ahead)
        enough = tolerance * np.linalg.norm(right, axis=0)
        for _ in range(STEPS):
            if (np.linalg.norm(rest, axis=0) <= enough).all():
                break
            bent = self._bent(way)
            stride = size / np.maximum(np.einsum("fs,fs->s", way, bent), TINY)
            found += stride * way
            rest -= stride * bent
            ahead = rest / self._diagonal[:, None]
            last, size = size, np.einsum("fs,fs->s", rest, ahead)
            way = ahead + size / np.maximum(last, TINY) * way
        return found

    @cached_property
    def _diagonal(self) -> np.ndarray:
        """(f,) of H."""
        found, k = np.zeros(self.x.shape[1]), self.x.sparse.shape[1]
        for strip, (sparse, dense) in zip(strips(len(self.curve)), self._squares(), strict=True):
            found[:k] += sparse.T @ self.curve[strip]
            found[k:] += dense.T @ self.curve[strip]
        return self.penalty + np.maximum(found - self.curve.sum() * self.centre**2, 0)

    def _squares(self) -> Iterator[tuple[csr_matrix, np.ndarray]]:
        """The labels' rows squared, strip by strip."""
        for strip in strips(len(self.curve)):
            sparse, dense = self._rows(strip)
            yield csr_matrix(sparse.multiply(sparse)), np.square(dense)

    def _rows(self, strip: slice) -> tuple[csr_matrix, np.ndarray]:
        some = self.pick[strip]
        return csr_matrix(some @ self.x.sparse), np.asarray(some @ self.x.dense, dtype=np.float64)

    def _down(self, v: np.ndarray) -> np.ndarray:
        """(n, s) of (f, s): the labels' rows, less their mean, times v."""
        k, dense = self.x.sparse.shape[1], self.x.dense
        return self.pick @ (self.x.sparse @ v[:k] + dense @ v[k:].astype(dense.dtype)) - self.centre @ v

    def _up(self, v: np.ndarray) -> np.ndarray:
        """(f, s) of (n, s): the other way round."""
        return _up(self.x, self.pick.T @ v) - np.outer(self.centre, v.sum(0))


def _up(x: Design, v: np.ndarray) -> np.ndarray:
    """(f, s) = x^T v for (a, s)."""
    return np.concatenate([x.sparse.T @ v, (x.dense.T @ v.astype(x.dense.dtype)).astype(np.float64)])
