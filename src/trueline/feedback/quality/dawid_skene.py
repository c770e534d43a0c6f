"""Dawid and Skene (1979): the truth behind many voices, each with its own way of erring, by expectation maximisation.

Pr(truth of i is c | votes) ∝ prior_c · Π_(j voted v on i) confusion_j[c, v]. It starts from the share of votes.

Letters: n votes, i items, j annotators, k values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.feedback.quality.votes import Coded, Value, Vote, coded

LEAST = 1e-10  # of a count or a prior, so that nothing is impossible


@dataclass(frozen=True)
class DawidSkene:
    """posterior (i, k): each item's truth; confusion (j, k truth, k said): rows sum to 1; prior (k,).

    Where no item of an annotator's can have a truth, their row of it is even: nothing is known of it.
    """

    items: tuple[str, ...]
    annotators: tuple[str, ...]
    values: tuple[Value, ...]
    posterior: np.ndarray
    confusion: np.ndarray
    prior: np.ndarray
    iterations: int
    converged: bool

    @property
    def labels(self) -> dict[str, Value]:
        """The likeliest truth of each item; of equals the first."""
        return {item: self.values[best] for item, best in zip(self.items, self.posterior.argmax(1), strict=True)}

    @property
    def accuracy(self) -> np.ndarray:
        """(j,) how likely each annotator is right about an item drawn by the prior: Σ_c prior_c confusion_j[c, c]."""
        return np.einsum("jcc,c->j", self.confusion, self.prior)


def dawid_skene(votes: Sequence[Vote], iterations: int = 1_000, tolerance: float = 1e-8) -> DawidSkene:
    """tolerance: it has converged where a step adds less than this to the evidence's lower bound, in nats a vote."""
    c = coded(votes)
    if not votes:
        return DawidSkene((), (), (), np.zeros((0, 0)), np.zeros((0, 0, 0)), np.zeros(0), 0, True)
    i, k = len(c.items), len(c.values)
    posterior = np.bincount(c.item * k + c.value, minlength=i * k).reshape(i, k).astype(np.float64)
    posterior /= posterior.sum(1, keepdims=True)
    prior, confusion = _maximise(c, posterior)
    bound, step, converged = -np.inf, 0, False
    while not converged and step < iterations:
        posterior = _expect(c, prior, confusion)
        prior, confusion = _maximise(c, posterior)
        last, bound = bound, _bound(c, posterior, prior, confusion)
        step, converged = step + 1, bound - last < tolerance
    return DawidSkene(c.items, c.annotators, c.values, posterior, confusion, prior, step, converged)


def _maximise(c: Coded, posterior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k,) prior and (j, k, k) confusion: means of what the items are taken for."""
    j, k = len(c.annotators), len(c.values)
    said = c.annotator * k + c.value
    counts = np.stack([np.bincount(said, p, j * k).reshape(j, k) for p in posterior[c.item].T], axis=1)
    counts = np.maximum(counts, LEAST)
    return posterior.mean(0), counts / counts.sum(2, keepdims=True)


def _expect(c: Coded, prior: np.ndarray, confusion: np.ndarray) -> np.ndarray:
    """(i, k) posterior."""
    heard = np.log(confusion)[c.annotator, :, c.value]
    log = np.log(np.maximum(prior, LEAST)) + np.stack([np.bincount(c.item, h) for h in heard.T], axis=1)
    raw = np.exp(log - log.max(1, keepdims=True))
    return raw / raw.sum(1, keepdims=True)


def _bound(c: Coded, posterior: np.ndarray, prior: np.ndarray, confusion: np.ndarray) -> float:
    """The evidence's lower bound a vote, E log p(votes, truth) + entropy; it never falls from step to step."""
    heard = np.log(confusion)[c.annotator, :, c.value]
    expected = (posterior[c.item] * heard).sum() + (posterior * np.log(np.maximum(prior, LEAST))).sum()
    entropy = -(posterior * np.log(np.maximum(posterior, LEAST))).sum()
    return float((expected + entropy) / len(c.item))
