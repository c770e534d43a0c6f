"""Which of the waiting items people are asked first: those about whose order a reward model's members disagree."""

from __future__ import annotations

from trueline.feedback.labelling.doubts import note, waiting
from trueline.feedback.store import FeedbackStore
from trueline.loop.selecting import item_doubts, keys
from trueline.reward.base import RewardModel
from trueline.reward.ensemble import Ensemble


def ask_where_unsure(store: FeedbackStore, reward: RewardModel) -> int:
    """Put the queue into the order of an ensemble's doubt; how many items, 0 where the model tells none.

    What is noted of an item is its doubt with the noise by which a batch is drawn (selecting.py), so that those who
    label do not get many of a kind.
    """
    if not isinstance(reward, Ensemble) or len(reward.members) < 2:
        return 0
    asked = 0
    for items in waiting(store):
        found = keys(item_doubts(reward.members, list(items.values())), list(items), seed=0)
        note(store, dict(zip(items, found.tolist(), strict=True)))
        asked += len(items)
    return asked
