"""A feature matrix of which only a part is sparse: TF-IDF columns first, then dense ones.

Nothing here makes the sparse part dense as a whole, or a second copy of many rows: what needs one goes strip by strip.
Letters: n rows, s sparse and c dense columns, f = s + c.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy.sparse import csr_matrix, vstack

STRIP = 2048


def strips(n: int) -> Iterator[slice]:
    """0 to n in stretches of 2048."""
    return (slice(i, min(i + STRIP, n)) for i in range(0, n, STRIP))


def stacked(parts: Sequence[csr_matrix]) -> csr_matrix:
    """One under the other."""
    return parts[0] if len(parts) == 1 else csr_matrix(vstack(parts, format="csr"))


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
        s, (n, c) = self.sparse.shape[1], self.dense.shape
        left, right = (np.ascontiguousarray(part.T, dtype=np.float64) for part in (weights[:, :s], weights[:, s:]))
        found = np.empty((n, len(weights)))
        for strip in strips(n):
            found[strip] = self.sparse[strip] @ left
            if c:
                # A dense matrix product sums in an order that depends on n; the sparse one goes row by row.
                dense = self.dense[strip].astype(np.float64)
                where, starts = np.tile(np.arange(c, dtype=np.int32), len(dense)), np.arange(0, dense.size + 1, c)
                found[strip] += csr_matrix((dense.ravel(), where, starts), shape=dense.shape) @ right
        return found

    def rows(self, index: np.ndarray) -> Design:
        """Rows by place or by mask."""
        index = np.flatnonzero(index) if index.dtype == bool else index
        gram = None if self.gram is None else self.gram[np.ix_(index, index)]
        return Design(self.sparse[index], self.dense[index], gram)

    def columns(self, mask: np.ndarray) -> Design:
        """The columns where (f,) is true."""
        s = self.sparse.shape[1]
        return Design(csr_matrix(self.sparse[:, np.flatnonzero(mask[:s])]), self.dense[:, mask[s:]])

    def differences(self, more: np.ndarray, less: np.ndarray) -> Design:
        """The rows `more` less the rows `less`, two lists of places."""
        sparse, dense = [], np.empty((len(more), self.dense.shape[1]), self.dense.dtype)
        for strip in strips(len(more)):
            sparse.append(self.sparse[more[strip]] - self.sparse[less[strip]])
            np.subtract(self.dense[more[strip]], self.dense[less[strip]], out=dense[strip])
        return Design(stacked(sparse), dense)

    def with_gram(self) -> Self:
        """The inner products of all rows, in strips of columns; for a few thousand rows."""
        dense = self.dense.astype(np.float64)
        gram, by_column = dense @ dense.T, self.sparse.tocsc()
        for strip in strips(by_column.shape[1]):
            columns = by_column[:, strip].toarray()
            gram += columns @ columns.T
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
        n, s, mean = len(self.dense), self.sparse.shape[1], self.mean()
        total = np.zeros(len(mean))
        for strip in strips(n):
            sparse, dense = self.sparse[strip], self.dense[strip] - mean[s:]
            total[:s] += np.bincount(sparse.indices, sparse.data**2, minlength=s)
            total[s:] += np.square(dense).sum(0)
        total[:s] -= n * mean[:s] ** 2
        return np.sqrt(np.maximum(total / n, 0))

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
