"""How far people agree: Krippendorff's alpha, and pairs of people with and without ties.

Letters: u units (answers rated, or pairs compared), v values, c prompts, q pairs of judgements.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trueline.feedback.audit.findings import Figure, Finding, between, percent
from trueline.feedback.audit.statistics import resampled_counts, share, sums
from trueline.feedback.audit.tables import PairTable, RatingTable
from trueline.feedback.quality.alpha import coincidences, ordinal_alpha

LEAST_UNITS = 20
HARDLY = 0.2


@dataclass(frozen=True)
class Units:
    """counts (u, v): how many people gave each value to each unit with two or more; prompt (u,)."""

    counts: np.ndarray
    prompt: np.ndarray


@dataclass(frozen=True)
class PeoplePairs:
    """Two people's judgements of one unit, (q,) each: who, whether they differ, whether either is a tie."""

    dimension: str
    people: list[str]
    first: np.ndarray
    second: np.ndarray
    differ: np.ndarray
    tied: np.ndarray
    prompt: np.ndarray


def krippendorff_alpha(counts: np.ndarray) -> float:
    """Ordinal alpha of (u, v) counts, values in order; nan where all values are one."""
    return float(ordinal_alpha(coincidences(counts).sum(0)[None])[0])


def units_of(table: RatingTable | PairTable) -> Units:
    """Answers with two or more ratings, or pairs with two or more comparisons."""
    unit, prompt, value = _units(table)
    kinds, column = np.unique(value, return_inverse=True)
    count = int(unit.max()) + 1 if len(unit) else 0
    counts = np.zeros((count, len(kinds)))
    np.add.at(counts, (unit, column), 1)
    place = np.zeros(count, dtype=np.int64)
    place[unit] = prompt
    shared = counts.sum(1) > 1
    return Units(counts[shared], place[shared])


def people_pairs(table: RatingTable | PairTable) -> PeoplePairs:
    """Every two people's judgements of one unit; comparisons differ by who wins, ratings by more than a point."""
    unit, prompt, value = _units(table)
    order = np.argsort(unit, kind="stable")
    order = order[np.bincount(unit)[unit[order]] > 1] if len(unit) else order
    left, right = [np.zeros(0, dtype=int)], [np.zeros(0, dtype=int)]
    if len(order):
        for members in np.split(order, np.flatnonzero(np.diff(unit[order])) + 1):
            i, j = np.triu_indices(len(members), 1)
            left.append(members[i])
            right.append(members[j])
    a, b = np.concatenate(left), np.concatenate(right)
    rated = isinstance(table, RatingTable)
    differ = np.abs(value[a] - value[b]) > 1 if rated else np.sign(value[a]) != np.sign(value[b])
    tied = np.zeros(len(a), dtype=bool) if rated else (value[a] == 0) | (value[b] == 0)
    who = table.person
    return PeoplePairs(table.dimension, table.people, who[a], who[b], differ.astype(float), tied, prompt[a])


def _units(table: RatingTable | PairTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) unit, prompt and value; a pair stored both ways round is one unit."""
    if isinstance(table, RatingTable):
        return table.item, table.prompt, table.value
    turned = np.array([a > b for a, b in zip(table.a, table.b, strict=True)], dtype=bool)
    pairs = [(b, a) if t else (a, b) for a, b, t in zip(table.a, table.b, turned, strict=True)]
    place = {pair: i for i, pair in enumerate(sorted(set(pairs)))}
    return (
        np.array([place[p] for p in pairs], dtype=np.int64),
        table.prompt,
        np.where(turned, -table.value, table.value),
    )


def agreement_findings(table: RatingTable | PairTable, resamples: int) -> list[Finding]:
    """Alpha, and how often two people agree, with and without ties; prompts are resampled with all their units."""
    units, kind = units_of(table), "ratings" if isinstance(table, RatingTable) else "comparisons"
    if len(units.counts) < LEAST_UNITS:
        return []
    found = [f for f in (_alpha_finding(units, table.dimension, kind, resamples),) if f is not None]
    pairs = people_pairs(table)
    choices = {"": np.ones(len(pairs.differ), dtype=bool)}
    if kind == "comparisons" and pairs.tied.any():
        choices = {", ties counted": choices[""], ", without ties": ~pairs.tied}
    for how, kept in choices.items():
        if kept.sum() >= LEAST_UNITS:
            found.append(_pair_finding(pairs, kept, kind, how, resamples))
    return found


def _alpha_finding(units: Units, dimension: str, kind: str, resamples: int) -> Finding | None:
    parts = coincidences(units.counts)
    value = float(ordinal_alpha(parts.sum(0)[None])[0])
    if not np.isfinite(value):
        return None
    flat = sums(parts, units.prompt)[np.bincount(units.prompt) > 0]
    drawn = np.concatenate([c @ flat for c in resampled_counts(len(flat), resamples, 0)])
    low, high = np.nanquantile(ordinal_alpha(drawn), [0.025, 0.975])
    figure = Figure(value, float(low), float(high), len(parts), "alpha")
    return Finding(
        id=f"agreement/{dimension}/{kind}/alpha",
        aspect="agreement",
        subject=f"{dimension}, {kind}",
        sentence=f"Krippendorff's alpha (ordinal) of {dimension} {kind} is {value:.2f} ({between(figure)}); 1 is full "
        "agreement, 0 is chance.",
        advice="Below .2 people hardly agree: sharpen the guideline, and ask several people about each item."
        if high < HARDLY
        else "Crowds reach about .2 to .6 in comparisons; a reward cannot agree with people more than they do.",
        severity="warning" if high < HARDLY else "note",
        figure=figure,
    )


def _pair_finding(pairs: PeoplePairs, kept: np.ndarray, kind: str, how: str, resamples: int) -> Finding:
    prompt = np.unique(pairs.prompt[kept], return_inverse=True)[1]
    same = 1 - pairs.differ[kept]
    figure = Figure(*share(sums(same, prompt), sums(np.ones(len(same)), prompt), resamples), len(same), "share")
    agree = "are within a point of each other" if kind == "ratings" else "agree"
    name = how.strip(", ").replace(" ", "-") or "pairs"
    return Finding(
        id=f"agreement/{pairs.dimension}/{kind}/{name}",
        aspect="agreement",
        subject=f"{pairs.dimension}, {kind}{how}",
        sentence=f"Two people's {pairs.dimension} {kind} of the same item {agree} in {percent(figure.value)}{how} "
        f"({between(figure)} pairs of people).",
        advice="Published crowds agree in 63 to 81% of comparisons; far below that, look at the guideline.",
        figure=figure,
    )
