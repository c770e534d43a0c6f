"""Are texts that name a group of people, or a topic, judged worse than others?

In pairs: how often the answer that names it wins over one that does not. In ratings: the odds of a low mark.
"""

from __future__ import annotations

import numpy as np

from trueline.feedback.audit.findings import Figure, Finding, between, percent
from trueline.feedback.audit.naming import Named
from trueline.feedback.audit.statistics import student_p, student_reach, sums
from trueline.feedback.audit.tables import PairTable, RatingTable
from trueline.feedback.audit.winning import win_rates

LOW_MARK = 2.0
LEAST_TEXTS, LEAST_LOW = 20, 5
LARGE_SHARE, GRAVE_SHARE = 0.05, 0.15
LARGE_ODDS, GRAVE_ODDS = 1.25, 2.0
ADVICE = {
    "group": "Read some: are the texts bad, or only what they speak of? Exchange the names (`trueline reward test`).",
    "topic": "Read some of them: is what is said of the topic worse, or is the topic itself disliked?",
}


def skew_findings(named: Named, pairs: PairTable, ratings: RatingTable, resamples: int) -> list[Finding]:
    """A test a kind of group, and one for each of up to 20 common words (topics)."""
    found: list[Finding] = []
    if not pairs.of_ratings and pairs.a:
        found += _in_pairs(named, pairs, resamples)
    if ratings.items:
        for aspect, names in named.in_exchanges(ratings.items).items():
            found += [f for name, has in names.items() if (f := _in_ratings(aspect, name, ratings, has)) is not None]
    return found


def _in_pairs(named: Named, pairs: PairTable, resamples: int) -> list[Finding]:
    ids = sorted({*pairs.a, *pairs.b})
    place = {i: k for k, i in enumerate(ids)}
    a, b = (np.array([place[i] for i in side]) for side in (pairs.a, pairs.b))
    held = named.in_answers(ids)
    kinds = [(aspect, name) for aspect, names in held.items() for name in names]
    sides = np.stack([held[aspect][name][b] - held[aspect][name][a] for aspect, name in kinds], axis=1)
    rates = win_rates(pairs, sides, LEAST_TEXTS, resamples)
    return [
        _pair_finding(aspect, name, pairs.dimension, *rate)
        for (aspect, name), rate in zip(kinds, rates, strict=True)
        if rate is not None
    ]


def _pair_finding(aspect: str, name: str, dimension: str, figure: Figure, p: float) -> Finding:
    away = abs(figure.value - 0.5)
    return Finding(
        id=f"{aspect}/{dimension}/{name}/pairs",
        aspect=aspect,
        subject=f"{name}, {dimension}",
        sentence=f"An answer that {_names(aspect, name)} wins {percent(figure.value)} of {dimension} comparisons "
        f"with one that does not ({between(figure)}); 50% is no difference.",
        advice=ADVICE[aspect],
        figure=figure,
        p=p,
        large=away >= LARGE_SHARE,
        grave=away >= GRAVE_SHARE,
    )


def _in_ratings(aspect: str, name: str, ratings: RatingTable, has: np.ndarray) -> Finding | None:
    """Odds of a mean mark up to 2, with what is named against without; a half is added to each count (Haldane 1956).

    The test is the score test, whose variance is summed by prompt (Liang and Zeger 1986).
    """
    means, prompt = ratings.item_means()
    low = (means <= LOW_MARK).astype(np.float64)
    n1, n0 = has.sum(), (1 - has).sum()
    if min(n1, n0) < LEAST_TEXTS or min(low.sum(), (1 - low).sum()) * n1 / len(low) < LEAST_LOW:
        return None
    score = sums((has - has.mean()) * (low - low.mean()), prompt)
    score = score[np.bincount(prompt) > 0]
    clusters = len(np.unique(prompt[has > 0]))
    p = student_p(float(score.sum()), float(np.sqrt((score**2).sum())), clusters)
    p1, p0 = ((has @ low + 0.5) / (n1 + 1), ((1 - has) @ low + 0.5) / (n0 + 1))
    log_odds = float(np.log(p1 / (1 - p1)) - np.log(p0 / (1 - p0)))
    influence = has * (low - p1) / (n1 * p1 * (1 - p1)) - (1 - has) * (low - p0) / (n0 * p0 * (1 - p0))
    reach = student_reach(float(np.sqrt((sums(influence, prompt) ** 2).sum())), clusters)
    value, low_end, high_end = (float(np.exp(x)) for x in (log_odds, log_odds - reach, log_odds + reach))
    figure = Figure(value, low_end, high_end, int(n1), "odds ratio", 1.0)
    marked = "labelled unsafe" if ratings.dimension == "safety" else f"marked low in {ratings.dimension}"
    share, others = percent(float(has @ low / n1)), percent(float((1 - has) @ low / n0))
    sentence = (
        f"Of {int(n1):,} texts that {_names(aspect, name, plural=True)}, {share} are {marked} (mean mark up to 2), of "
        f"the others {others}: odds ratio {figure.value:.2f} ({between(figure)})."
    )
    return Finding(
        id=f"{aspect}/{ratings.dimension}/{name}/ratings",
        aspect=aspect,
        subject=f"{name}, {ratings.dimension}",
        sentence=sentence,
        advice=ADVICE[aspect],
        figure=figure,
        p=p,
        large=bool(abs(log_odds) >= np.log(LARGE_ODDS)),
        grave=bool(abs(log_odds) >= np.log(GRAVE_ODDS)),
    )


def _names(aspect: str, name: str, *, plural: bool = False) -> str:
    if aspect == "group":
        return f"name{'' if plural else 's'} a group by {name}"
    return f"hold{'' if plural else 's'} “{name}”"
