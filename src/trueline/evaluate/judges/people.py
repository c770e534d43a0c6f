"""People as the judge, through the labelling queue: asked once, read whenever they have said more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.evaluate.judges.base import same_text
from trueline.feedback.labelling.items import Item, add_items
from trueline.feedback.labelling.judging import standing
from trueline.feedback.store import FeedbackStore
from trueline.records import Exchange


@dataclass(frozen=True)
class PeopleJudge:
    """judgements: people who judge each pair. What counts was said on the labelling pages, never by simulated
    annotators, who have no place there."""

    store: FeedbackStore
    judgements: int = 2
    name: str = "people"

    def ask(self, before: Sequence[Exchange], after: Sequence[Exchange]) -> int:
        """Put the pairs into the queue; how many are new there."""
        different = np.flatnonzero(~same_text(before, after)).tolist()
        self.store.add([side[i] for i in different for side in (before, after)])
        return add_items(self.store, [_item(before[i], after[i]) for i in different], self.judgements)

    def rate(self, exchanges: Sequence[Exchange]) -> None:
        return None

    def compare(self, before: Sequence[Exchange], after: Sequence[Exchange]) -> np.ndarray:
        """(n,) the mean of what people say now of a pair, each 0, 0.5 or 1; nan where nobody has judged it."""
        verdicts = np.full(len(before), 0.5)
        with self.store.reading() as c:
            for i in np.flatnonzero(~same_text(before, after)).tolist():
                item = _item(before[i], after[i])
                # Both bad without a preference is neither's win.
                said = [np.sign(s["preference"] or 0) for s in standing(c, item.id)]
                towards = 1 if item.answers[1] == after[i].completion.id else -1
                verdicts[i] = (1 + towards * np.mean(said)) / 2 if said else np.nan
        return verdicts

    def waiting(self, before: Sequence[Exchange], after: Sequence[Exchange]) -> int:
        """How many pairs nobody has judged yet."""
        return int(np.isnan(self.compare(before, after)).sum())


def _item(before: Exchange, after: Exchange) -> Item:
    return Item(before.completion.prompt_id, before.completion.id, after.completion.id)
