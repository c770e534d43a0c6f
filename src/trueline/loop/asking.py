"""Which of the waiting items people are asked first: those of which the reward model is least sure."""

from __future__ import annotations

import numpy as np

from trueline.feedback.labelling.doubts import note, waiting
from trueline.feedback.store import FeedbackStore
from trueline.reward.base import RewardModel


def ask_where_unsure(store: FeedbackStore, reward: RewardModel) -> int:
    """Put the queue into the order of an ensemble's doubt; how many items, 0 where the model tells none.

    The doubt of an item is the deviation of its members, root mean square over answers and dimensions.
    """
    asked = 0
    for items in waiting(store):
        scores = reward.score([answer for answers in items.values() for answer in answers])
        if scores.std is None:
            return 0
        variances = np.split((scores.std**2).mean(1), np.cumsum([len(a) for a in items.values()])[:-1])
        note(store, {item: float(np.sqrt(v.mean())) for item, v in zip(items, variances, strict=True)})
        asked += len(items)
    return asked
