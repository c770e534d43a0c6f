"""How far a judge agrees with people, and judges with each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.evaluate.agreement import RESAMPLES
from trueline.evaluate.by_prompt import share_by_prompt
from trueline.evaluate.judges.base import Judge
from trueline.evaluate.statistics import Interval
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Exchange


@dataclass(frozen=True)
class JudgeAgreement:
    """Of a judge with people's comparisons; without those of pairs that it gave no verdict on (`unjudged`).

    clear: share of clear preferences that the judge orders alike, its tie counts half (n_clear comparisons);
    every: share of all of them of which it says the same, ties of both sides being a third thing to say (n_every).
    An interval's own n is that of prompts; None where there are less than two.
    """

    clear: Interval | None
    every: Interval | None
    n_clear: int
    n_every: int
    unjudged: int


def agreement_with_people(
    judge: Judge,
    snapshot: FeedbackSnapshot,
    dimension: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> JudgeAgreement:
    """dimension: only comparisons in it count; None: all. Each pair is put before the judge once, however many people
    compared it."""
    asked = [c for c in snapshot.comparisons if dimension in (None, c.dimension)]
    pairs = sorted({(c.a_id, c.b_id) for c in asked})
    found = judge.compare([snapshot.exchange(a) for a, _ in pairs], [snapshot.exchange(b) for _, b in pairs])
    verdict_of = dict(zip(pairs, np.sign(found - 0.5), strict=True))
    verdict = np.array([verdict_of[c.a_id, c.b_id] for c in asked], dtype=np.float64)
    people = np.sign(np.array([c.preference for c in asked], dtype=np.float64))
    prompts = np.array([snapshot.completions[c.a_id].prompt_id for c in asked], dtype=object)
    judged = ~np.isnan(verdict)
    clear = judged & (people != 0)
    alike = 1 - np.abs(verdict - people) / 2
    return JudgeAgreement(
        share_by_prompt(prompts[clear].tolist(), alike[clear], resamples, seed),
        share_by_prompt(prompts[judged].tolist(), verdict[judged] == people[judged], resamples, seed),
        int(clear.sum()),
        int(judged.sum()),
        int((~judged).sum()),
    )


def verdict_agreement(verdicts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From what j judges say of n pairs, (j, n) as `Judge.compare` gives it: (j, j) share of the pairs on which two
    say the same (after, before or tie), and (j, j) how many both gave a verdict on; without any the share is nan."""
    said = np.sign(np.asarray(verdicts, dtype=np.float64) - 0.5)
    given = (~np.isnan(said)).astype(np.float64)
    same = sum(((said == v).astype(np.float64) @ (said == v).T for v in (-1, 0, 1)), np.zeros((len(said), len(said))))
    n = given @ given.T
    return np.divide(same, n, out=np.full(n.shape, np.nan), where=n > 0), n.astype(int)


def agreement_matrix(
    judges: Sequence[Judge], before: Sequence[Exchange], after: Sequence[Exchange]
) -> tuple[np.ndarray, np.ndarray]:
    """`verdict_agreement` of judges, each asked about every pair."""
    return verdict_agreement(np.array([j.compare(before, after) for j in judges]).reshape(len(judges), len(before)))
