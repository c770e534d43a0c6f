"""What wins that should not matter: the longer answer, the first one, the one that praises the user."""

from __future__ import annotations

import numpy as np

from trueline.feedback.audit.findings import Figure, Finding, between, percent
from trueline.feedback.audit.naming import Named
from trueline.feedback.audit.statistics import share, sums
from trueline.feedback.audit.tables import PairTable
from trueline.feedback.audit.winning import win_rates
from trueline.feedback.snapshot import FeedbackSnapshot

LEAST_PAIRS, LARGE, GRAVE = 30, 0.03, 0.10
AS_STORED = "A and B are as stored; the store orders them by content, which need not be what was shown."
FOUND = {
    "length": "Check whether longer answers are truly better; if not, set reward.length_control, and tell annotators.",
    "position": "Show each answer on either side by chance, and ask for the pairs again from those who favour a side.",
    "flattery": "Tell annotators that praise is no merit, and see what a reward makes of it (`trueline reward test`).",
}
SAYING = {
    "length": "The longer answer",
    "position": "The left answer (A)",
    "flattery": "The answer that flatters the user",
}


def preference_findings(snapshot: FeedbackSnapshot, named: Named, pairs: PairTable, resamples: int) -> list[Finding]:
    """How often each wins, among pairs with a winner in which it can be told; tested by sign flips of prompts.

    The longer: by characters. A length bias also shows where longer answers are truly better or worse: the data alone
    cannot tell the two apart.
    """
    if not pairs.a:
        return []
    sides = {
        "length": np.sign(_lengths(snapshot, pairs.b) - _lengths(snapshot, pairs.a)),
        "flattery": np.array(
            [(b in named.flattering) - (a in named.flattering) for a, b in zip(pairs.a, pairs.b, strict=True)]
        ),
    }
    if not pairs.of_ratings:
        sides["position"] = -np.ones(len(pairs.a))
    rates = win_rates(pairs, np.stack(list(sides.values()), axis=1), LEAST_PAIRS, resamples)
    return [_finding(kind, pairs, *rate) for kind, rate in zip(sides, rates, strict=True) if rate is not None]


def _finding(kind: str, pairs: PairTable, figure: Figure, p: float) -> Finding:
    what = f"{pairs.dimension} " + ("pairs made of ratings" if pairs.of_ratings else "comparisons")
    won = f"{SAYING[kind]} wins {percent(figure.value)} of {what} with a winner"
    sentence = f"{won} ({between(figure)}); 50% is no preference."
    away = abs(figure.value - 0.5)
    return Finding(
        id=f"{kind}/{pairs.dimension}",
        aspect=kind,
        subject=pairs.dimension,
        sentence=f"{sentence} {AS_STORED}" if kind == "position" else sentence,
        advice=FOUND[kind],
        figure=figure,
        p=p,
        large=away >= LARGE,
        grave=away >= GRAVE,
    )


def ties_finding(pairs: PairTable, resamples: int) -> Finding | None:
    """How many comparisons have no winner: they teach a reward nothing."""
    if pairs.of_ratings or len(pairs.a) < LEAST_PAIRS or pairs.value.all():
        return None
    tied, held = sums((pairs.value == 0).astype(float), pairs.prompt), sums(np.ones(len(pairs.a)), pairs.prompt)
    figure = Figure(*share(tied, held, resamples), len(pairs.a), "share")
    return Finding(
        id=f"ties/{pairs.dimension}",
        aspect="ties",
        subject=pairs.dimension,
        sentence=f"{percent(figure.value)} of {pairs.dimension} comparisons are ties ({between(figure)}).",
        advice="Ties teach a reward nothing; where there are many, compare answers that differ more.",
        figure=figure,
    )


def _lengths(snapshot: FeedbackSnapshot, ids: list[str]) -> np.ndarray:
    return np.array([len(snapshot.completions[i].text) for i in ids], dtype=np.float64)
