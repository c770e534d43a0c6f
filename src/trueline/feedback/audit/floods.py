"""Who stands out among many: by how much of all labels is theirs, and by always letting one side win.

Letters: n comparisons of answers by the same two models.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from trueline.feedback.audit.findings import Figure, Finding, Severity, between, percent
from trueline.feedback.audit.statistics import student_p, student_reach, sums
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.thumbs import CORRECTION
from trueline.feedback.users import within_share
from trueline.records import Annotator, Comparison, Rating

MOST, LEAST_PEOPLE, LEAST_LABELS = 0.5, 3, 50
LEAST_PAIRS, ALWAYS = 30, 0.95
LARGE, GRAVE = 0.2, 0.4


def share_findings(snapshot: FeedbackSnapshot) -> list[Finding]:
    """Users of a served model who gave more labels than may count, and whoever else of three or more gave over half."""
    given = Counter(label.annotator for label in _labels(snapshot))
    kept = Counter(label.annotator for label in _labels(within_share(snapshot)))
    total = sum(given.values())
    found = []
    for person, n in sorted(given.items(), key=lambda x: (-x[1], x[0].name)):
        if kept[person] < n:
            learned = f"rewards learn from {kept[person]:,} of them"
            advice = "Read some of them. If they are a flood, take the key out of the file of API keys."
            found.append(_share(person, n, total, learned, advice, "serious" if n > MOST * total else "warning"))
        elif n > MOST * total and n >= LEAST_LABELS and len(given) >= LEAST_PEOPLE:
            advice = "What is learned follows this person: have others judge some of the same items."
            found.append(_share(person, n, total, "rewards learn from all of them", advice, "note"))
    return found


def _labels(snapshot: FeedbackSnapshot) -> tuple[Rating | Comparison, ...]:
    return (*snapshot.ratings, *snapshot.comparisons)


def _share(person: Annotator, n: int, total: int, learned: str, advice: str, severity: Severity) -> Finding:
    return Finding(
        id=f"share/{person.label}",
        aspect="share",
        subject=person.label,
        sentence=f"{person.label} gave {n:,} of all {total:,} labels ({percent(n / total)}); {learned}.",
        advice=advice,
        severity=severity,
        figure=Figure(n / total, None, None, total, "share"),
    )


def one_sided_findings(snapshot: FeedbackSnapshot, dimension: str) -> list[Finding]:
    """For each two models whose answers are compared: people with whom one wins more often than with the others.

    A test a person with 30 comparisons, where the others have as many; without others it is only said who always lets
    one win. Corrections are left out: they win by what they are.
    """
    duels: dict[tuple[str, str], list[Comparison]] = defaultdict(list)
    for c in snapshot.comparisons:
        a, b = (snapshot.completions[i].source for i in (c.a_id, c.b_id))
        if c.dimension == dimension and c.preference and a != b and not (a + b).count(CORRECTION):
            duels[min(a, b), max(a, b)].append(c)
    return [f for pair in sorted(duels) for f in _of_pair(snapshot, dimension, pair, duels[pair])]


def _of_pair(
    snapshot: FeedbackSnapshot, dimension: str, pair: tuple[str, str], duels: list[Comparison]
) -> list[Finding]:
    """wins (n,): 1 where the second of the two models won."""
    won = [snapshot.completions[c.b_id if c.preference > 0 else c.a_id].source == pair[1] for c in duels]
    wins = np.array(won, dtype=np.float64)
    prompts = [snapshot.completions[c.a_id].prompt_id for c in duels]
    prompt = np.unique(prompts, return_inverse=True)[1]
    found = []
    for person in sorted({c.annotator for c in duels}, key=lambda a: a.name):
        mine = np.array([c.annotator == person for c in duels])
        if mine.sum() < LEAST_PAIRS:
            continue
        if (~mine).sum() >= LEAST_PAIRS:
            found.append(_tested(person, dimension, pair, wins, prompt, mine))
        elif max(own := float(wins[mine].mean()), 1 - own) >= ALWAYS:
            found.append(_always(person, dimension, pair[own > 0.5], max(own, 1 - own), int(mine.sum())))
    return found


def _tested(
    person: Annotator, dimension: str, pair: tuple[str, str], wins: np.ndarray, prompt: np.ndarray, mine: np.ndarray
) -> Finding:
    """The standard error is by prompt, and never less than by chance alone: whoever always says the same has none."""
    inside, n, m = mine.astype(np.float64), int(mine.sum()), int((~mine).sum())
    own, others, all_ = float(wins[mine].mean()), float(wins[~mine].mean()), float(wins.mean())
    influence = inside * (wins - own) / n - (1 - inside) * (wins - others) / m
    clusters = len(np.unique(prompt[mine]))
    by_prompt = float((sums(influence, prompt) ** 2).sum()) * clusters / max(1, clusters - 1)
    error = float(np.sqrt(max(by_prompt, all_ * (1 - all_) * (1 / n + 1 / m))))
    reach = student_reach(error, clusters)
    more, name = own - others, pair[own > others]
    figure = Figure(more, more - reach, more + reach, n, "share", 0.0)
    shown = (own, others) if own > others else (1 - own, 1 - others)
    return Finding(
        id=f"one-sided/{dimension}/{person.label}/{pair[0]}/{pair[1]}",
        aspect="one-sided",
        subject=f"{person.label}, {dimension}",
        sentence=f"With {person.label} an answer of {name} wins {percent(shown[0])} of {dimension} comparisons with "
        f"{pair[own <= others]}, with the others {percent(shown[1])}: {100 * abs(more):.1f} points apart "
        f"({between(figure)}).",
        advice="Read some of their labels: do they judge the texts, or for one side whatever is said?",
        figure=figure,
        p=student_p(more, error, clusters),
        large=abs(more) >= LARGE,
        grave=abs(more) >= GRAVE,
    )


def _always(person: Annotator, dimension: str, source: str, share: float, n: int) -> Finding:
    return Finding(
        id=f"one-sided/{dimension}/{person.label}/{source}",
        aspect="one-sided",
        subject=f"{person.label}, {dimension}",
        sentence=f"With {person.label} an answer of {source} wins {percent(share)} of {n:,} {dimension} comparisons; "
        "nobody else has compared enough of these answers to say whether it should.",
        advice="Have somebody else judge some of the same answers.",
        figure=Figure(share, None, None, n, "share", 0.5),
    )
