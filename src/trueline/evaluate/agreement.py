"""How often two people agree about which of two answers is better: what a reward model can hope for."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

import numpy as np

from trueline.evaluate.by_prompt import share_by_prompt
from trueline.evaluate.statistics import Interval
from trueline.feedback.snapshot import FeedbackSnapshot

RESAMPLES = 500


def agreement(snapshot: FeedbackSnapshot, dimension: str) -> tuple[Interval | None, Interval | None]:
    """Share of pairs of people who say the same of a pair of answers: without ties (of either), and with them.

    By comparisons; without any, by what each person's ratings say. Intervals by prompt; None where no two people met.
    """
    verdicts = _compared(snapshot, dimension) or _rated(snapshot, dimension)
    prompts, said = [], []
    for (a, _), by_person in verdicts.items():
        for x, y in combinations(list(by_person.values()), 2):
            prompts.append(snapshot.completions[a].prompt_id)
            said.append((x, y))
    if not said:
        return None, None
    pairs = np.array(said)
    same, clear = pairs[:, 0] == pairs[:, 1], (pairs != 0).all(1)
    kept = [p for p, c in zip(prompts, clear, strict=True) if c]
    without = share_by_prompt(kept, same[clear], RESAMPLES) if kept else None
    return without, share_by_prompt(prompts, same, RESAMPLES)


Verdicts = dict[tuple[str, str], dict[str, float]]


def _compared(snapshot: FeedbackSnapshot, dimension: str) -> Verdicts:
    found: Verdicts = defaultdict(dict)
    for c in snapshot.comparisons:
        if c.dimension == dimension:
            turned = c.a_id > c.b_id
            pair = (c.b_id, c.a_id) if turned else (c.a_id, c.b_id)
            found[pair][c.annotator.name] = float(np.sign(-c.preference if turned else c.preference))
    return found


def _rated(snapshot: FeedbackSnapshot, dimension: str) -> Verdicts:
    marks: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for r in snapshot.ratings:
        if r.dimension == dimension and r.value is not None:
            marks[snapshot.completions[r.completion_id].prompt_id, r.annotator.name].append((r.completion_id, r.value))
    found: Verdicts = defaultdict(dict)
    for (_, person), given in marks.items():
        for (a, x), (b, y) in combinations(given, 2):
            found[a, b][person] = float(np.sign(y - x))
    return found
