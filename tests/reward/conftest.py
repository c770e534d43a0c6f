"""Feedback with a planted truth: words decide what people say, one set of words a dimension."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Comparison, Exchange, Prompt, Rating

GOOD = {"quality": "clear", "safety": "gentle", "consistency": "exact"}
BAD = {"quality": "vague", "safety": "cruel", "consistency": "wrong"}
FILLER = ["the", "a", "of", "order", "parcel", "today", "tomorrow", "we", "you", "it", "is", "was", "here", "soon"]
PEOPLE = (Annotator("Anna"), Annotator("Ben"))


def planted_exchanges(n_prompts: int, seed: int, answers: int = 3) -> list[tuple[Exchange, dict[str, int]]]:
    """Answers of filler words with good and bad words among them, and the number of good less bad ones (-2..2)."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n_prompts):
        prompt = Prompt.from_user(f"question {seed} {i} about {rng.choice(FILLER)}")
        for j in range(answers):
            truth = {d: int(rng.integers(-2, 3)) for d in GOOD}
            said = [(GOOD if t > 0 else BAD)[d] for d, t in truth.items() for _ in range(abs(t))]
            words = [*said, *rng.choice(FILLER, 8), f"n{j}"]
            found.append((Exchange.of(prompt, " ".join(rng.permutation(words))), truth))
    return found


@pytest.fixture(scope="session")
def planted() -> Callable[..., FeedbackSnapshot]:
    """planted(n_prompts, seed, sign=1): a snapshot with ratings and comparisons; sign=-1 turns every label round."""

    def make(n_prompts: int = 90, seed: int = 0, sign: int = 1) -> FeedbackSnapshot:
        labelled = planted_exchanges(n_prompts, seed)
        truths = {e.completion.id: truth for e, truth in labelled}
        groups: dict[str, list[Exchange]] = {}
        for e, _ in labelled:
            groups.setdefault(e.prompt.id, []).append(e)
        ratings = [
            Rating(e.completion.id, d, 3 + sign * value, person)
            for e, truth in labelled
            for d, value in truth.items()
            for person in PEOPLE
        ]
        comparisons = [
            Comparison(a.completion.id, b.completion.id, d, sign * int(np.clip(difference, -3, 3)), PEOPLE[0])
            for members in groups.values()
            for k, a in enumerate(members)
            for b in members[k + 1 :]
            for d in GOOD
            for difference in [truths[b.completion.id][d] - truths[a.completion.id][d]]
        ]
        return FeedbackSnapshot(
            {e.prompt.id: e.prompt for e, _ in labelled},
            {e.completion.id: e.completion for e, _ in labelled},
            tuple(ratings),
            tuple(comparisons),
        )

    return make
