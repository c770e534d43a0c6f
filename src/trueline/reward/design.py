"""A feature matrix of which only a part is sparse: TF-IDF columns first, then dense ones.

Nothing here makes the sparse part dense as a whole. Letters: n rows, s sparse and c dense columns, f = s + c.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy.sparse import csr_matrix, vstack

STRIP = 2048


@dataclass(frozen=True)
class Design:
    """sparse (n, s) float64, dense (n, c) float32 or float64; gram (n, n) = x x^T where it was asked for."""

    sparse: csr_matrix
    dense: np.ndarray
    gram: np.ndarray | None = None

    @classmethod
    def of(cls, dense: np.ndarray) -> Design:
        """All columns dense."""
        return cls(csr_matrix((len(dense), 0)), dense)

    @classmethod
    def stack(cls, parts: Sequence[Design]) -> Design:
        """One under the other."""
        if len(parts) == 1:
            return parts[0]
        sparse = csr_matrix(vstack([p.sparse for p in parts], format="csr"))
        return cls(sparse, np.concatenate([p.dense for p in parts]))

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.dense), self.sparse.shape[1] + self.dense.shape[1]

    def __matmul__(self, w: np.ndarray) -> np.ndarray:
        """(n,) of (f,)."""
        s = self.sparse.shape[1]
        return np.asarray(self.sparse @ w[:s] + self.dense @ w[s:].astype(self.dense.dtype), dtype=np.float64)

    @property
    def T(self) -> Transposed:
        return Transposed(self)

    def project(self, weights: np.ndarray) -> np.ndarray:
        """x weights^T, (n, k) of (k, f); a row's result does not depend on the other rows, not even in its last bit."""
        s = self.sparse.shape[1]
        found = np.asarray(self.sparse @ np.ascontiguousarray(weights[:, :s].T)).reshape(len(self.dense), len(weights))
        n, c = self.dense.shape
        if n and c:
            # A dense matrix product sums in an order that depends on n; the sparse one goes row by row.
            where, starts = np.tile(np.arange(c, dtype=np.int32), n), np.arange(0, n * c + 1, c)
            rows = csr_matrix((self.dense.astype(np.float64).ravel(), where, starts), shape=(n, c))
            found = found + rows @ np.ascontiguousarray(weights[:, s:].T)
        return np.asarray(found)

    def rows(self, index: np.ndarray) -> Design:
        """Rows by place or by mask."""
        index = np.flatnonzero(index) if index.dtype == bool else index
        gram = None if self.gram is None else self.gram[np.ix_(index, index)]
        return Design(self.sparse[index], self.dense[index], gram)

    def columns(self, mask: np.ndarray) -> Design:
        """The columns where (f,) is true."""
        s = self.sparse.shape[1]
        return Design(csr_matrix(self.sparse[:, np.flatnonzero(mask[:s])]), self.dense[:, mask[s:]])

    def minus(self, other: Design) -> Design:
        return Design(csr_matrix(self.sparse - other.sparse), self.dense - other.dense)

    def with_gram(self) -> Self:
        """The inner products of all rows, in strips of columns; for a few thousand rows."""
        dense = self.dense.astype(np.float64)
        gram, by_column = dense @ dense.T, self.sparse.tocsc()
        for i in range(0, by_column.shape[1], STRIP):
            strip = by_column[:, i : i + STRIP].toarray()
            gram += strip @ strip.T
        return replace(self, gram=gram)

    def precise(self) -> Self:
        """With float64 all through, for problems small enough for it."""
        return replace(self, dense=self.dense.astype(np.float64))

    def mean(self) -> np.ndarray:
        """(f,) of each column."""
        dense = self.dense.mean(0, dtype=np.float64)
        return np.concatenate([np.asarray(self.sparse.mean(0)).ravel(), dense])

    def spread(self) -> np.ndarray:
        """(f,) standard deviation of each column."""
        mean = np.asarray(self.sparse.mean(0)).ravel()
        square = np.asarray(self.sparse.multiply(self.sparse).mean(0)).ravel()
        return np.concatenate([np.sqrt(np.maximum(square - mean**2, 0)), self.dense.std(0, dtype=np.float64)])

    def squared_lengths(self) -> np.ndarray:
        """(n,) of each row."""
        sparse = np.asarray(self.sparse.multiply(self.sparse).sum(1)).ravel()
        return sparse + np.square(self.dense, dtype=np.float64).sum(1)

    def toarray(self) -> np.ndarray:
        """(n, f) float64: for a few rows."""
        return np.concatenate([self.sparse.toarray(), self.dense.astype(np.float64)], axis=1)

    def arrays(self) -> dict[str, np.ndarray]:
        """For safetensors."""
        x = self.sparse
        return {
            "data": x.data,
            "indices": x.indices.astype(np.int64),
            "starts": x.indptr.astype(np.int64),
            "width": np.array([x.shape[1]], dtype=np.int64),
            "dense": np.ascontiguousarray(self.dense),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Design:
        """ValueError where the arrays do not fit each other."""
        shape = (len(arrays["dense"]), int(arrays["width"][0]))
        sparse = csr_matrix((arrays["data"], arrays["indices"], arrays["starts"]), shape=shape)
        sparse.check_format(full_check=True)
        return cls(sparse, arrays["dense"])


@dataclass(frozen=True)
class Transposed:
    """x^T, for x.T @ v."""

    design: Design

    def __matmul__(self, v: np.ndarray) -> np.ndarray:
        """(f,) of (n,)."""
        x = self.design
        return np.concatenate([x.sparse.T @ v, (v.astype(x.dense.dtype) @ x.dense).astype(np.float64)])
