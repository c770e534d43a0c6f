"""Has a reward model seen the like of this answer? Flags texts far from those it learned from.

Mahalanobis distance (Lee et al. 2018) to the cloud of training texts in four coordinates: how new a text's characters,
pairs and triples of characters are (mean inverse document frequency of hashed n-grams), and its length. So it serves
every kind of model and any language: gibberish shows in the triples, another script in the characters, a lone word in
the length. Letters: n texts, g lengths of n-grams, b buckets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save
from scipy.sparse import csr_matrix

from trueline import durable
from trueline.errors import InputError
from trueline.records import content_id

BUCKETS, NGRAMS = 2**16, (1, 2, 3)
LEAST, QUANTILE = 40, 0.99
_ARRAYS = ("idf", "centre", "whiten", "threshold")


@dataclass(frozen=True)
class Familiarity:
    """idf (g, b) float32, 0 in every known text and 1 in none; centre (g + 1,); whiten (g + 1, g + 1), to unit
    covariance; threshold (1,).
    """

    idf: np.ndarray
    centre: np.ndarray
    whiten: np.ndarray
    threshold: np.ndarray

    @classmethod
    def fit(cls, texts: Sequence[str]) -> Familiarity:
        """n-grams from half of the texts; from the others, to whom these are as new as to any fresh text, the cloud and
        its 99th percentile. InputError for fewer than 40 distinct texts, which say too little.
        """
        from sklearn.covariance import LedoitWolf

        distinct = sorted(set(texts), key=lambda t: content_id("familiar", t))
        if len(distinct) < LEAST:
            raise InputError(f"{len(distinct)} answers are too few to tell what is familiar; label at least {LEAST}")
        known, fresh = distinct[::2], distinct[1::2]
        held = [np.asarray((_counts(known, n) > 0).sum(0)).ravel() for n in NGRAMS]
        idf = np.array([1 - np.log1p(h) / np.log1p(len(known)) for h in held], dtype=np.float32)
        cloud = _coordinates(fresh, idf)
        spread = np.maximum(cloud.std(0), 1e-3)
        # Ledoit and Wolf shrink towards equal variances, so that all have to be of one size first.
        shape = LedoitWolf().fit(cloud / spread)
        whiten = np.linalg.cholesky(shape.precision_) / spread[:, None]
        fitted = cls(idf, cloud.mean(0), whiten, np.ones(1))
        return cls(idf, fitted.centre, whiten, np.quantile(fitted.distance(fresh), [QUANTILE]))

    def distance(self, texts: Sequence[str]) -> np.ndarray:
        """(n,) Mahalanobis distances."""
        return np.asarray(np.linalg.norm((_coordinates(texts, self.idf) - self.centre) @ self.whiten, axis=1))

    def unfamiliar(self, texts: Sequence[str]) -> np.ndarray:
        """(n,) bool: farther than 99 of 100 answers like the training ones."""
        return np.asarray(self.distance(texts) > self.threshold[0])

    def save(self, path: Path, snapshot_sha256: str) -> None:
        """One safetensors file, which names the snapshot that the texts come from."""
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}
        durable.write_file(path, save(arrays, {"snapshot_sha256": snapshot_sha256}))

    @classmethod
    def load(cls, path: Path, snapshot_sha256: str) -> Familiarity | None:
        """None where there is no whole file of this snapshot."""
        try:
            with safe_open(path, "np") as file:
                if (file.metadata() or {}).get("snapshot_sha256") != snapshot_sha256:
                    return None
                return cls(**{name: file.get_tensor(name) for name in _ARRAYS})
        except Exception:  # safetensors' own error is no OSError
            return None


def _coordinates(texts: Sequence[str], idf: np.ndarray) -> np.ndarray:
    """(n, g + 1): mean idf of the distinct n-grams of each length, 1 where there is none; the log of the length."""
    columns = [np.log1p([len(t) for t in texts])]
    for n, weights in zip(NGRAMS, idf.astype(np.float64), strict=True):
        there = (_counts(texts, n) > 0).astype(np.float64)
        number = np.asarray(there.sum(1)).ravel()
        columns.append(np.where(number > 0, (there @ weights) / np.maximum(number, 1), 1.0))
    return np.column_stack(columns)


def _counts(texts: Sequence[str], n: int) -> csr_matrix:
    """How often each text has each n-gram's bucket."""
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(
        analyzer="char", ngram_range=(n, n), n_features=BUCKETS, alternate_sign=False, norm=None
    )
    return csr_matrix(hashing.transform(texts))
