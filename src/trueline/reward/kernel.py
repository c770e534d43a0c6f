"""The radial kernel k(x, y) = exp(-gamma |x - y|^2) by Nystroem's approximation (Williams and Seeger 2001).

Letters: n rows, m landmarks, f features, d dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trueline.reward.design import Design

LANDMARKS = 300
SAMPLE = 500
NODES = 32
STRIP = 4096
SMALLEST = 1e-6


@dataclass(frozen=True)
class Kernel:
    """landmarks: m training rows; gamma: 1 / median squared distance; root: (m, r), K_mm^(-1/2) on its main axes."""

    landmarks: Design
    gamma: float
    root: np.ndarray

    @classmethod
    def fit(cls, x: Design, seed: int = 0) -> Kernel:
        """Landmarks by chance, with a fixed seed; gamma by the median heuristic (Jaakkola et al. 1999)."""
        order = np.random.default_rng([41, seed]).permutation(len(x.dense))
        some = x.rows(order[:SAMPLE])
        distances = _squared_distances(some, some)[np.triu_indices(len(some.dense), 1)]
        median = float(np.median(distances)) if len(distances) else 0.0
        gamma = 1 / median if median > 0 else 1.0
        landmarks = x.rows(np.sort(order[:LANDMARKS]))
        values, axes = np.linalg.eigh(np.exp(-gamma * _squared_distances(landmarks, landmarks)))
        # An axis with hardly any weight carries rounding errors, made large by the root.
        kept = values > SMALLEST * values[-1]
        return cls(landmarks, gamma, axes[:, kept] / np.sqrt(values[kept]))

    def map(self, x: Design) -> Design:
        """(n, r) features whose inner products approximate the kernel."""
        n = len(x.dense)
        parts = [self.values(x.rows(np.arange(i, min(i + STRIP, n)))) @ self.root for i in range(0, n, STRIP)]
        return Design.of(np.concatenate(parts) if parts else np.zeros((0, self.root.shape[1])))

    def values(self, x: Design) -> np.ndarray:
        """(n, m) kernel values with the landmarks; a row does not depend on the others."""
        return np.exp(-self.gamma * _squared_distances(x, self.landmarks))

    def scores(self, x: Design, weights: np.ndarray) -> np.ndarray:
        """(n, d) = k(x, landmarks) weights^T, weights (d, m); a row does not depend on the others."""
        return Design.of(self.values(x)).project(weights)

    def score_of(self, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(d,) of one row (f,) of numbers that need not be sparse, such as the mean."""
        return weights @ self._along(x, np.zeros_like(x), 0.0)

    def gradient(self, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(f,) gradient at one row (f,) of the score of one dimension, weights (m,)."""
        return self._pull(weights * self._along(x, np.zeros_like(x), 0.0), x)

    def integrated_gradients(self, start: np.ndarray, end: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(f,) shares of score(end) - score(start), (f,) each, along the straight line between them.

        Sundararajan et al. 2017, by Gauss-Legendre quadrature with 32 nodes; the shares' sum misses the difference by
        less than 1e-3.
        """
        step = end - start
        nodes, widths = np.polynomial.legendre.leggauss(NODES)
        total = np.zeros_like(start)
        for t, width in zip((nodes + 1) / 2, widths / 2, strict=True):
            total += width * self._pull(weights * self._along(start, step, t), start + t * step)
        return step * total

    def _along(self, start: np.ndarray, step: np.ndarray, t: float) -> np.ndarray:
        """(m,) kernel values at start + t step."""
        x = start + t * step
        distances = x @ x - 2 * self.landmarks.project(x[None])[:, 0] + self.landmarks.squared_lengths()
        return np.exp(-self.gamma * np.maximum(distances, 0))

    def _pull(self, pulls: np.ndarray, x: np.ndarray) -> np.ndarray:
        """2 gamma sum_l pulls_l (landmark_l - x)."""
        return 2 * self.gamma * (self.landmarks.T @ pulls - pulls.sum() * x)

    def arrays(self) -> dict[str, np.ndarray]:
        """For safetensors, each name with `kernel_` before it."""
        own = {**self.landmarks.arrays(), "gamma": np.array([self.gamma]), "root": np.ascontiguousarray(self.root)}
        return {f"kernel_{name}": value for name, value in own.items()}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Kernel:
        own = {k.removeprefix("kernel_"): v for k, v in arrays.items() if k.startswith("kernel_")}
        return cls(Design.of_arrays(own), float(own["gamma"][0]), own["root"])


def _squared_distances(x: Design, y: Design) -> np.ndarray:
    products = (x.sparse @ y.sparse.T).toarray() + Design.of(x.dense).project(y.dense.astype(np.float64))
    return np.maximum(x.squared_lengths()[:, None] - 2 * products + y.squared_lengths(), 0)
