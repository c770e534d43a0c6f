"""Which answers, or pairs of them, are worth a label: those about whose order a committee of reward models disagrees.

The doubt of a pair is what its label is expected to tell of the model (BALD, Houlsby et al. 2011; of preferences as in
Muldrew et al. 2024): H(mean over members of p) - mean over members of H(p), p the probability that the second answer
wins. It is 0 where all members agree, also where they agree that the answers are as good as one another. A batch is
drawn with probabilities in proportion to doubt^3, without replacement (power sampling, Kirsch et al. 2023, eq. 6):
taking the greatest ones would take many of a kind, which tell the same.

Letters: m members, n answers or pairs, d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit, xlogy

from trueline.policy.randomness import generator
from trueline.records import Exchange
from trueline.reward.base import RewardModel

SHARPNESS = 3.0
PARTNERS = 16


def pair_doubts(margins: np.ndarray, temperature: np.ndarray) -> np.ndarray:
    """(n,) of margins (m, n, d), score of b less score of a by each member; nats, the mean over dimensions.

    temperature: (d,) or (m, d); 1 where it is not known.
    """
    scale = np.where(np.isfinite(temperature), temperature, 1.0).reshape(-1, 1, margins.shape[-1])
    p = expit(margins / scale)
    return np.maximum(_entropy(p.mean(0)) - _entropy(p).mean(0), 0.0).mean(-1)


def answer_doubts(members: Sequence[RewardModel], answers: Sequence[Exchange]) -> np.ndarray:
    """(n,) the mean doubt of the pairs that an answer makes with the others to its prompt; where there are none, with
    16 of all.
    """
    scores, temperature = _heard(members, answers)
    groups: dict[str, list[int]] = {}
    for i, answer in enumerate(answers):
        groups.setdefault(answer.prompt.id, []).append(i)
    some = np.unique(np.linspace(0, len(answers) - 1, PARTNERS).astype(int)) if answers else np.zeros(0, dtype=int)
    doubts = np.zeros(len(answers))
    for i, answer in enumerate(answers):
        mates = groups[answer.prompt.id]
        others = np.array(mates) if len(mates) > 1 else some
        others = others[others != i]
        if len(others):
            doubts[i] = pair_doubts(scores[:, others] - scores[:, i : i + 1], temperature).mean()
    return doubts


def item_doubts(members: Sequence[RewardModel], items: Sequence[tuple[Exchange, ...]]) -> np.ndarray:
    """(n,) of pairs; of an answer by itself beside all the answers here."""
    flat = [answer for item in items for answer in item]
    scores, temperature = _heard(members, flat)
    start = np.cumsum([0, *(len(item) for item in items)])[:-1]
    doubts = np.zeros(len(items))
    pairs = np.array([len(item) == 2 for item in items], dtype=bool)
    doubts[pairs] = pair_doubts(scores[:, start[pairs] + 1] - scores[:, start[pairs]], temperature)
    if not pairs.all():
        doubts[~pairs] = answer_doubts(members, flat)[start[~pairs]]
    return doubts


def keys(doubts: np.ndarray, ids: Sequence[str], seed: int) -> np.ndarray:
    """(n,) at least 0; in their falling order the ids are a draw without replacement in proportion to doubt^3.

    Gumbel noise does it (Kool et al. 2019), keyed by the id, so that it does not depend on what else is there.
    """
    noise = np.array([generator("select", seed, i).gumbel() for i in ids])
    return np.asarray(doubts * np.exp(noise / SHARPNESS))


def select(
    members: Sequence[RewardModel], pool: Sequence[Exchange], labelled: set[str], k: int, seed: int
) -> list[Exchange]:
    """k answers of the pool to be labelled next, the first first; fewer where it has no more.

    labelled: ids of completions that are never chosen. Without members, or where these agree on everything, any answer
    is as likely as another.
    """
    open_ = [e for e in {e.completion.id: e for e in pool}.values() if e.completion.id not in labelled]
    doubts = answer_doubts(members, open_) if members else np.zeros(len(open_))
    ids = [e.completion.id for e in open_]
    chance = keys(np.ones(len(open_)), ids, seed)
    order = np.lexsort((-chance, -keys(doubts, ids, seed)))
    return [open_[i] for i in order[:k]]


def _heard(members: Sequence[RewardModel], answers: Sequence[Exchange]) -> tuple[np.ndarray, np.ndarray]:
    """(m, n, d) scores, and (m, d) temperatures."""
    scores = np.stack([member.score(answers).values for member in members])
    return scores, np.stack([member.temperature for member in members])


def _entropy(p: np.ndarray) -> np.ndarray:
    return np.asarray(-xlogy(p, p) - xlogy(1 - p, 1 - p))
