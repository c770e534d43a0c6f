"""Figures of texts that need no judge.

Letters: t texts, m n-grams of all of them, g groups of texts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.evaluate.statistics import Interval

_WORD = re.compile(r"[㐀-鿿豈-﫿぀-ヿ가-힯]|\w+", re.UNICODE)
ORDERS = 4  # of n-grams in BLEU, as Papineni et al. 2002
SMOOTHING = 0.1
GROUP = 10


def words(text: str) -> list[str]:
    """Words in lower case; Chinese characters one by one."""
    return _WORD.findall(text.lower())


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    found = words(text)
    return list(zip(*(found[i:] for i in range(n)), strict=False))


@dataclass(frozen=True)
class Grams:
    """The n-grams of t texts as numbers. text (m,): whose each is; gram (m,): which, 0 to kinds - 1."""

    text: np.ndarray
    gram: np.ndarray
    kinds: int

    def counted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Text, n-gram and how often, for each different n-gram of each text."""
        width = max(1, self.kinds)
        place, count = np.unique(self.text * width + self.gram, return_counts=True)
        return place // width, place % width, count


def grams(texts: Sequence[str], most: int) -> list[Grams]:
    """Those of 1, 2, ... most words."""
    split, known = [words(text) for text in texts], dict[str, int]()
    word = np.array([known.setdefault(w, len(known)) for found in split for w in found], dtype=np.int64)
    found = [Grams(np.repeat(np.arange(len(texts)), [len(text) for text in split]), word, len(known))]
    for _ in range(1, most):
        last = found[-1]
        # One word more is two that overlap.
        first = np.flatnonzero(last.text[:-1] == last.text[1:])
        kinds, gram = np.unique(last.gram[first] * max(1, last.kinds) + last.gram[first + 1], return_inverse=True)
        found.append(Grams(last.text[first], gram, len(kinds)))
    return found


def distinct(texts: Sequence[str], n: int) -> float:
    """distinct-n: different n-grams over all n-grams of all texts (Li et al. 2016); 0 where there are none."""
    return _distinct(grams(texts, n)[-1])


def _distinct(found: Grams) -> float:
    return found.kinds / len(found.gram) if len(found.gram) else 0.0


def distinct_interval(texts: Sequence[str], n: int, resamples: int = 200, seed: int = 0) -> Interval:
    """distinct-n with a 95% interval from random halves of the texts.

    It falls as texts are added, so that resampling with replacement would shift it. Means of halves drawn without
    replacement vary as much as means of as many texts as there are (delete-half jackknife, Shao and Wu 1989); their
    spread is set about the value of all.
    """
    found, rng = grams(texts, n)[-1], np.random.default_rng([37, seed])
    value, half, shares = _distinct(found), max(1, len(texts) // 2), np.zeros(resamples)
    for i in range(resamples):
        chosen = np.zeros(len(texts), dtype=bool)
        chosen[rng.choice(len(texts), half, replace=False)] = True
        kept = found.gram[chosen[found.text]]
        shares[i] = np.count_nonzero(np.bincount(kept, minlength=found.kinds)) / max(1, len(kept))
    spread = float(np.std(shares)) * 1.96
    return Interval(value, max(0.0, value - spread), min(1.0, value + spread), len(texts))


def repetition(texts: Sequence[str], n: int = 4) -> np.ndarray:
    """(t,) the share of a text's n-grams that it has said before; 0 where it has none.

    1 - different n-grams / n-grams: seq-rep-n of Welleck et al. 2020, "Neural text generation with unlikelihood
    training".
    """
    found = grams(texts, n)[-1]
    total = np.bincount(found.text, minlength=len(texts))
    different = np.bincount(found.counted()[0], minlength=len(texts))
    return (total - different) / np.maximum(total, 1)


def self_bleu(texts: Sequence[str], group: np.ndarray) -> np.ndarray:
    """(t,) BLEU-4 of each text against the others of its group as references: 1 where it is one of them again.

    Zhu et al. 2018, "Texygen"; without a match of some order that order counts as 0.1 match (method 1 of Chen and
    Cherry 2014), without a common word the BLEU is 0. group: (t,) of two or more texts each, 0 to g - 1.
    """
    logs, known, length = np.zeros(len(texts)), np.zeros(len(texts), dtype=bool), np.zeros(len(texts))
    for n, found in enumerate(grams(texts, ORDERS), 1):
        total = np.bincount(found.text, minlength=len(texts))
        matches = _matches(found, group, len(texts))
        if n == 1:
            known, length = matches > 0, total.astype(np.float64)
        logs += np.log(np.where(matches > 0, matches, SMOOTHING) / np.maximum(total, 1)) / ORDERS
    short = np.minimum(0.0, 1 - _nearest(length, group) / np.maximum(length, 1))
    return np.where(known, np.exp(logs + short), 0.0)


def self_bleu_groups(texts: Sequence[str], seed: int = 0) -> np.ndarray:
    """(g,) mean self-BLEU of groups of ten texts, or a few more; g = 1 for fewer than 20. As many texts group alike.

    Against some nine others, and not against all, it means the same however many texts there are, and the groups have
    nothing in common, so that their spread tells the interval.
    """
    group = np.random.default_rng([43, seed]).permutation(len(texts)) % max(1, len(texts) // GROUP)
    return np.bincount(group, self_bleu(texts, group)) / np.bincount(group)


def _matches(found: Grams, group: np.ndarray, t: int) -> np.ndarray:
    """(t,) n-grams of each text that another text of its group has, each as often as that which has it most often."""
    text, gram, count = found.counted()
    order = np.lexsort((-count, gram, group[text]))
    text, gram, count = text[order], gram[order], count[order]
    if not len(text):
        return np.zeros(t)
    new = np.ones(len(text), dtype=bool)
    new[1:] = (group[text][1:] != group[text][:-1]) | (gram[1:] != gram[:-1])
    # The most that another has: for who has it most often it is the second in the run, for all the others the first.
    second = np.where(np.append(new[1:], True), 0, np.append(count[1:], 0))
    others = np.where(new, second, count[new][np.cumsum(new) - 1])
    return np.bincount(text, np.minimum(count, others), t)


def _nearest(length: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(t,) the length of another text of the group that is nearest to a text's own, the shorter one of two."""
    order = np.lexsort((length, group))
    sizes, of = length[order], group[order]
    gap = np.where(of[1:] == of[:-1], np.diff(sizes), np.inf)
    down, up = np.append(np.inf, gap), np.append(gap, np.inf)
    nearest = np.empty(len(length))
    nearest[order] = np.where(down <= up, sizes - down, sizes + up)
    return nearest
