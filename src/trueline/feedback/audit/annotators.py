"""Who marks more kindly than the others, and who disagrees with them more than they do with each other.

Letters: n ratings, k people, i items, c prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from trueline.feedback.audit.agreement import PeoplePairs
from trueline.feedback.audit.findings import Figure, Finding, between, percent
from trueline.feedback.audit.statistics import student_p, student_reach, sums
from trueline.feedback.audit.tables import RatingTable

LEAST_RATINGS, LEAST_PROMPTS, LEAST_SHARED = 20, 10, 30
LARGE_POINTS, GRAVE_POINTS = 0.25, 1.0
LARGE_MORE, GRAVE_MORE = 0.05, 0.20


@dataclass(frozen=True)
class Leniency:
    """effect (k,): points above everybody's mean; error (k,): standard errors, by prompt; shrunken (k,), spread (k,):
    the random effect and its standard deviation, given the data; residual (n,): what no item and no person explains.
    """

    effect: np.ndarray
    error: np.ndarray
    shrunken: np.ndarray
    spread: np.ndarray
    residual: np.ndarray
    prompts: np.ndarray


def leniency(table: RatingTable) -> Leniency:
    """Generalised least squares of people's levels, items being random; standard errors by prompt (Liang and Zeger).

    The shrunken effects are those of a random-effects model whose variance is that of DerSimonian and Laird (1986).
    """
    n, k = len(table.value), len(table.people)
    y = table.value - table.value.mean()
    who = csr_matrix((np.ones(n), (np.arange(n), table.person)), shape=(n, k))
    weight = _item_weight(table, y)
    size = np.bincount(table.item)
    item = csr_matrix((np.ones(n) / size[table.item], (table.item, np.arange(n))), shape=(len(size), n))
    pull = weight[table.item]
    within = (who - (item @ who)[table.item].multiply(pull[:, None])).tocsr()
    bread = np.linalg.pinv((within.T @ who).toarray())
    effect = bread @ (within.T @ y)
    rest = y - effect[table.person]
    by_prompt = csr_matrix((np.ones(n), (table.prompt, np.arange(n))), shape=(int(table.prompt.max()) + 1, n))
    scores = np.asarray((by_prompt @ within.multiply(rest[:, None]).tocsr()).todense()) @ bread.T
    share = np.bincount(table.person, minlength=k) / n
    scores = scores - (scores @ share)[:, None]
    seen = np.asarray((by_prompt @ who > 0).sum(0)).ravel()
    error = np.sqrt((scores**2).sum(0) * seen / np.maximum(seen - 1, 1))
    effect = effect - share @ effect
    shrunken, spread = _shrunken(effect, error)
    return Leniency(effect, error, shrunken, spread, rest - pull * (item @ rest)[table.item], seen)


def _item_weight(table: RatingTable, y: np.ndarray) -> np.ndarray:
    """(i,) how much of an item's mean is the item rather than noise; 0 where no item has two ratings."""
    means = np.bincount(table.person, y) / np.maximum(np.bincount(table.person), 1)
    rest, size = y - means[table.person], np.bincount(table.item)
    own = np.bincount(table.item, rest) / size
    degrees = int((size - 1).sum())
    if not degrees:
        return np.zeros(len(size))
    noise = float(((rest - own[table.item]) ** 2).sum()) / degrees
    between_items = max(0.0, float((rest**2).mean()) - noise)
    return size * between_items / np.maximum(noise + size * between_items, 1e-12)


def _shrunken(effect: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    w = 1 / np.maximum(error, 1e-9) ** 2
    mean = float(w @ effect / w.sum())
    spare = float(w.sum() - (w**2).sum() / w.sum())
    variance = max(0.0, (float(w @ (effect - mean) ** 2) - (len(w) - 1)) / spare) if spare > 0 else 0.0
    keep = variance / (variance + error**2) if variance else np.zeros(len(effect))
    return keep * effect, np.sqrt(keep) * error


def leniency_findings(table: RatingTable) -> list[Finding]:
    """A test a person with at least 20 ratings on 10 prompts."""
    if len(table.people) < 2 or len(table.value) < LEAST_RATINGS:
        return []
    fit = leniency(table)
    count = np.bincount(table.person, minlength=len(table.people))
    found = []
    for i, name in enumerate(table.people):
        if count[i] < LEAST_RATINGS or fit.prompts[i] < LEAST_PROMPTS:
            continue
        seen, value = int(fit.prompts[i]), float(fit.shrunken[i])
        reach = student_reach(float(fit.spread[i]), seen)
        figure = Figure(value, value - reach, value + reach, int(count[i]), "points", 0.0)
        more = "above" if value >= 0 else "below"
        found.append(
            Finding(
                id=f"leniency/{table.dimension}/{name}",
                aspect="leniency",
                subject=f"{name}, {table.dimension}",
                sentence=f"{name} marks {table.dimension} {abs(value):.2f} points {more} everybody's mean, the answers "
                f"being equal (shrunken, {between(figure)}).",
                advice="Rewards take away each person's own level already; talk the scale through with them.",
                figure=figure,
                p=student_p(float(fit.effect[i]), float(fit.error[i]), seen),
                large=abs(float(fit.effect[i])) >= LARGE_POINTS,
                grave=abs(float(fit.effect[i])) >= GRAVE_POINTS,
            )
        )
    return found


def disagreement_findings(pairs: PeoplePairs) -> list[Finding]:
    """For each person: how often they contradict the others on the same items, against the others among themselves.

    A test a person, where there are three people or more; the standard error is by prompt, by the delta method.
    """
    found = []
    for i, name in enumerate(pairs.people):
        mine = (pairs.first == i) | (pairs.second == i)
        if mine.sum() < LEAST_SHARED or (~mine).sum() < LEAST_SHARED:
            continue
        differ, inside = pairs.differ, mine.astype(np.float64)
        own, others = float(differ[mine].mean()), float(differ[~mine].mean())
        influence = inside * (differ - own) / mine.sum() - (1 - inside) * (differ - others) / (~mine).sum()
        clusters = len(np.unique(pairs.prompt[mine]))
        error = float(np.sqrt((sums(influence, pairs.prompt) ** 2).sum() * clusters / max(1, clusters - 1)))
        reach = student_reach(error, clusters)
        figure = Figure(own - others, own - others - reach, own - others + reach, int(mine.sum()), "share", 0.0)
        # Who agrees more than the others do is no trouble, so that only half of the two-sided p counts.
        p = student_p(own - others, error, clusters) / 2
        found.append(
            Finding(
                id=f"disagreement/{pairs.dimension}/{name}",
                aspect="disagreement",
                subject=f"{name}, {pairs.dimension}",
                sentence=f"{name} contradicts the others in {percent(own)} of shared {pairs.dimension} "
                f"judgements, they each other in {percent(others)}: {100 * (own - others):+.1f} points more "
                f"({between(figure)}).",
                advice="Look at their labels together with them; give them less weight rather than none.",
                figure=figure,
                p=p if own > others else 1 - p,
                large=own - others >= LARGE_MORE,
                grave=own - others >= GRAVE_MORE,
            )
        )
    return found
