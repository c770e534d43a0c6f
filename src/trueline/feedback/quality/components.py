"""Completions that a chain of comparisons joins, and matrices that have one block for each such component.

Letters: n edges, i nodes, g components of one size m, q columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def components(left: np.ndarray, right: np.ndarray, count: int) -> np.ndarray:
    """(i,) component of each node, 0 and up, from (n,) edges: the lowest number spreads until nothing changes."""
    lowest = np.arange(count)
    while True:
        low = np.minimum(lowest[left], lowest[right])
        spread = lowest.copy()
        np.minimum.at(spread, left, low)
        np.minimum.at(spread, right, low)
        spread = spread[spread]
        if (spread == lowest).all():
            return np.unique(lowest, return_inverse=True)[1].astype(np.int64)
        lowest = spread


@dataclass(frozen=True)
class Blocks:
    """The components of one size: nodes (g, m); edges (e,) among the n; the e edges' component and two places in it."""

    nodes: np.ndarray
    edges: np.ndarray
    at: np.ndarray
    a: np.ndarray
    b: np.ndarray


def blocks_of(left: np.ndarray, right: np.ndarray, component: np.ndarray) -> list[Blocks]:
    order = np.argsort(component, kind="stable")
    size = np.bincount(component)
    inside, place = np.empty(len(component), dtype=np.int64), np.zeros(len(size), dtype=np.int64)
    inside[order] = np.arange(len(component)) - (np.cumsum(size) - size)[component[order]]
    found = []
    for m in np.unique(size):
        nodes = order[size[component[order]] == m].reshape(-1, m)
        place[component[nodes[:, 0]]] = np.arange(len(nodes))
        edges = np.flatnonzero(size[component[left]] == m)
        a, b = left[edges], right[edges]
        found.append(Blocks(nodes, edges, place[component[a]], inside[a], inside[b]))
    return found


@dataclass(frozen=True)
class BlockInverse:
    """A⁻¹ of A = Σ_edges w (e_right − e_left)(e_right − e_left)ᵀ + ridge I; inverses: (g, m, m) each."""

    blocks: list[Blocks]
    inverses: list[np.ndarray]

    @classmethod
    def of(cls, blocks: list[Blocks], weight: np.ndarray, ridge: float) -> BlockInverse:
        """weight (n,) of the edges, 0 or more."""
        found = []
        for k in blocks:
            g, m = k.nodes.shape
            cells = [(k.at * m + p) * m + q for p, q in ((k.a, k.a), (k.b, k.b), (k.a, k.b), (k.b, k.a))]
            w = weight[k.edges]
            block = np.bincount(np.concatenate(cells), np.concatenate([w, w, -w, -w]), g * m * m)
            found.append(np.linalg.inv(block.reshape(g, m, m) + ridge * np.eye(m)))
        return cls(blocks, found)

    def times(self, x: np.ndarray) -> np.ndarray:
        """(i, q) A⁻¹ x."""
        found = np.empty_like(x)
        for k, inverse in zip(self.blocks, self.inverses, strict=True):
            found[k.nodes] = inverse @ x[k.nodes]
        return found

    def diagonal(self, count: int) -> np.ndarray:
        found = np.empty(count)
        for k, inverse in zip(self.blocks, self.inverses, strict=True):
            found[k.nodes] = np.diagonal(inverse, axis1=1, axis2=2)
        return found

    def spread(self, edges: int) -> np.ndarray:
        """(n,) variance of the difference across each edge, if A⁻¹ is a covariance."""
        found = np.empty(edges)
        for k, v in zip(self.blocks, self.inverses, strict=True):
            found[k.edges] = v[k.at, k.a, k.a] + v[k.at, k.b, k.b] - 2 * v[k.at, k.a, k.b]
        return found
