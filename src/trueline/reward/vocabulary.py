"""TF-IDF over the terms of a text, with its own state that saves as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from trueline.reward.text import terms


@dataclass(frozen=True)
class Vocabulary:
    """terms in a fixed order, and the inverse document frequency of each, (v,) float64."""

    terms: tuple[str, ...]
    idf: np.ndarray

    @classmethod
    def fit(cls, texts: Iterable[str], max_terms: int, min_documents: int = 2) -> Vocabulary:
        """The terms that most documents hold; smoothed idf = ln((1 + n) / (1 + df)) + 1."""
        documents, n = Counter[str](), 0
        for text in texts:
            documents.update(set(terms(text)))
            n += 1
        kept = [t for t, count in documents.items() if count >= min_documents]
        kept = sorted(sorted(kept, key=lambda t: (-documents[t], t))[:max_terms])
        return cls(tuple(kept), np.array([math.log((1 + n) / (1 + documents[t])) + 1 for t in kept]))

    def matrix(self, texts: Sequence[str]) -> csr_matrix:
        """(n, v) rows of (1 + ln count) * idf, of length 1."""
        index = {t: i for i, t in enumerate(self.terms)}
        data, columns, starts = [], [], [0]
        for text in texts:
            counts = Counter(i for t in terms(text) if (i := index.get(t)) is not None)
            places = sorted(counts)
            row = np.array([1 + math.log(counts[i]) for i in places]) * self.idf[places]
            norm = np.sqrt((row * row).sum())
            data.append(row / norm if norm else row)
            columns += places
            starts.append(len(columns))
        flat = np.concatenate(data) if data else np.zeros(0)
        return csr_matrix((flat, np.array(columns, dtype=np.int64), starts), shape=(len(texts), len(self.terms)))
