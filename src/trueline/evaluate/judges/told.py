"""Whether an answer tells the facts that it was given: a judge of the prompts whose meta lists them.

{"prompt": "Write a news brief: ...", "prompt_meta": {"facts": ["Leeds", ["40%", "40 percent"]]}}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.errors import InputError
from trueline.evaluate.judges.base import by_scores
from trueline.evaluate.judges.whole_words import has_word
from trueline.evaluate.record import Verdicts
from trueline.records import Exchange, Prompt, Scores

Fact = tuple[str, ...]


def facts_of(prompt: Prompt) -> tuple[Fact, ...]:
    """Each fact as the wordings of which one is enough; none where the prompt lists none. InputError: no such list."""
    given = prompt.meta.get("facts", [])
    rows = given if isinstance(given, list | tuple) else [None]
    found = [tuple(fact) if isinstance(fact, list | tuple) else (fact,) for fact in rows]
    if not all(f and all(isinstance(w, str) and w.strip() for w in f) for f in found):
        raise InputError(
            f"prompt {prompt.id}: facts must be a list of texts, or of lists of wordings, such as "
            '["Leeds", ["40%", "40 percent"]]'
        )
    return tuple(found)


def told(text: str, facts: Sequence[Fact]) -> tuple[bool, ...]:
    """Which facts the text has, word for word (`has_word`)."""
    return tuple(any(has_word(text, wording) for wording in fact) for fact in facts)


@dataclass(frozen=True)
class ToldJudge:
    """The share of a prompt's facts that the answer tells; nan, no verdict, where the prompt lists none.

    It does not see what else the answer says: an invented fact costs nothing here.
    """

    name: str = "the facts given are told"

    def rate(self, exchanges: Sequence[Exchange]) -> Verdicts:
        values = np.full((len(exchanges), 1), np.nan)
        for i, exchange in enumerate(exchanges):
            if facts := facts_of(exchange.prompt):
                values[i] = sum(told(exchange.completion.text, facts)) / len(facts)
        return Verdicts(Scores(("told",), values))

    def compare(self, before: Sequence[Exchange], after: Sequence[Exchange]) -> np.ndarray:
        return by_scores(self.rate, before, after)
