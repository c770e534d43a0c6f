"""Every two votes on one item.

Letters: n votes, q pairs of votes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trueline.feedback.quality.votes import Coded


@dataclass(frozen=True)
class VotePairs:
    """(q,) each: the item, and the places of the two votes among the n; the first vote's annotator comes first."""

    item: np.ndarray
    first: np.ndarray
    second: np.ndarray


def vote_pairs(c: Coded) -> VotePairs:
    """By item and annotator in order, each vote with the next of its item, then with the one after, and so on."""
    order = np.lexsort((c.annotator, c.item))
    item = c.item[order]
    first, second = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for step in range(1, len(order)):
        met = np.flatnonzero(item[step:] == item[:-step])
        if not len(met):
            break
        first.append(order[met])
        second.append(order[met + step])
    one = np.concatenate(first)
    return VotePairs(c.item[one], one, np.concatenate(second))
