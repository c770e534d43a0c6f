"""Figures of texts that need no judge."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from trueline.evaluate.statistics import Interval

_WORD = re.compile(r"[㐀-鿿豈-﫿぀-ヿ가-힯]|\w+", re.UNICODE)


def words(text: str) -> list[str]:
    """Words in lower case; Chinese characters one by one."""
    return _WORD.findall(text.lower())


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    found = words(text)
    return list(zip(*(found[i:] for i in range(n)), strict=False))


def distinct(texts: Sequence[str], n: int) -> float:
    """distinct-n: different n-grams over all n-grams of all texts (Li et al. 2016); 0 where there are none."""
    found = [g for text in texts for g in ngrams(text, n)]
    return len(set(found)) / len(found) if found else 0.0


def distinct_interval(texts: Sequence[str], n: int, resamples: int = 200, seed: int = 0) -> Interval:
    """distinct-n with a 95% interval from random halves of the texts.

    It falls as texts are added, so that resampling with replacement would shift it; subsets of half the texts keep
    the spread's order, which is scaled by the root of their share and set about the value of all.
    """
    value, rng = distinct(texts, n), np.random.default_rng([37, seed])
    half = max(1, len(texts) // 2)
    found = [distinct([texts[i] for i in rng.choice(len(texts), half, replace=False)], n) for _ in range(resamples)]
    spread = float(np.std(found)) * 1.96
    return Interval(value, max(0.0, value - spread), min(1.0, value + spread), len(texts))
