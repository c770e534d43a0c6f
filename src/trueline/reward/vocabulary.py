"""TF-IDF over the n-grams of a text, words (1 to 2) or characters (2 to 4), with its own state that saves as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, repeat
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix

from trueline.reward.text import characters, symbols, words

Unit = Literal["words", "characters"]
ORDERS: dict[Unit, tuple[int, ...]] = {"words": (1, 2), "characters": (2, 3, 4)}
_JOIN: dict[Unit, str] = {"words": " ", "characters": ""}


@dataclass(frozen=True)
class Vocabulary:
    """terms in a fixed order, and the inverse document frequency of each, (v,) float64."""

    terms: tuple[str, ...]
    idf: np.ndarray
    unit: Unit = "words"

    @classmethod
    def fit(cls, texts: Iterable[str], max_terms: int, min_documents: int = 2, unit: Unit = "words") -> Vocabulary:
        """The terms that most documents hold; smoothed idf = ln((1 + n) / (1 + df)) + 1."""
        documents, n = Counter[str](), 0
        for text in texts:
            documents.update(set(_grams(_symbols(text, unit), unit)))
            n += 1
        kept = [t for t, count in documents.items() if count >= min_documents]
        kept = sorted(sorted(kept, key=lambda t: (-documents[t], t))[:max_terms])
        return cls(tuple(kept), np.array([math.log((1 + n) / (1 + documents[t])) + 1 for t in kept]), unit)

    def matrix(self, texts: Sequence[str]) -> csr_matrix:
        """(n, v) rows of (1 + ln count) * idf, of length 1 (0 where no term is known)."""
        return self.matrix_of([_symbols(text, self.unit) for text in texts])

    def matrix_of(self, rows: Sequence[Sequence[str]]) -> csr_matrix:
        """The same from the texts' symbols. An n-gram is looked up as one number, its symbols being the digits."""
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        found = map(self._place.get, chain.from_iterable(rows), repeat(-1))
        flat = np.fromiter(found, np.int64, int(lengths.sum()))
        place = np.repeat(np.arange(len(rows)), lengths)
        row_parts, column_parts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for order, (keys, columns) in self._keys.items():
            n = len(flat) - order + 1
            if n < 1 or not len(keys):
                continue
            key, known = np.zeros(n, np.int64), place[:n] == place[order - 1 :]
            for i in range(order):
                part = flat[i : i + n]
                key = key * len(self._place) + part
                known &= part >= 0
            key, row = key[known], place[:n][known]
            at = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
            hit = keys[at] == key
            row_parts.append(row[hit])
            column_parts.append(columns[at[hit]])
        row, column = np.concatenate(row_parts), np.concatenate(column_parts)
        counts = csr_matrix((np.ones(len(row)), (row, column)), shape=(len(rows), len(self.terms)))
        counts.data = (1 + np.log(counts.data)) * self.idf[counts.indices]
        row = np.repeat(np.arange(len(rows)), np.diff(counts.indptr))
        counts.data /= np.sqrt(np.bincount(row, counts.data**2, minlength=len(rows)))[row]
        return counts

    @cached_property
    def _place(self) -> dict[str, int]:
        """A number for each symbol that some term holds."""
        return {s: i for i, s in enumerate(sorted({s for t in self.terms for s in self._split(t)}))}

    @cached_property
    def _keys(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """For each length of n-grams: their numbers in ascending order, and their columns."""
        found: dict[int, list[tuple[int, int]]] = {order: [] for order in ORDERS[self.unit]}
        for column, term in enumerate(self.terms):
            parts, key = self._split(term), 0
            for s in parts:
                key = key * len(self._place) + self._place[s]
            found[len(parts)].append((key, column))
        return {
            order: (np.array([k for k, _ in sorted(v)], np.int64), np.array([c for _, c in sorted(v)], np.int64))
            for order, v in found.items()
        }

    def _split(self, term: str) -> Sequence[str]:
        return term.split(" ") if self.unit == "words" else term


def _symbols(text: str, unit: Unit) -> Sequence[str]:
    return symbols(words(text)) if unit == "words" else characters(text)


def _grams(row: Sequence[str], unit: Unit) -> Iterator[str]:
    for order in ORDERS[unit]:
        for i in range(len(row) - order + 1):
            yield _JOIN[unit].join(row[i : i + order])
