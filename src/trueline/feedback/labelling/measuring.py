"""How good the labels are, for the quality page and the API: agreement by dimension, and a row for each person."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from trueline.feedback import queue_tables as q
from trueline.feedback.labelling import said as from_store
from trueline.feedback.quality.agreement import sign_agreement
from trueline.feedback.quality.alpha import alpha_interval
from trueline.feedback.quality.bradley_terry import bradley_terry
from trueline.feedback.quality.drift import drift
from trueline.feedback.quality.gold import gold_scores
from trueline.feedback.quality.interval import Interval, wilson
from trueline.feedback.quality.kappa import pairwise_kappa
from trueline.feedback.quality.pace import pace
from trueline.feedback.quality.repeats import consistency
from trueline.feedback.store import FeedbackStore

ENOUGH_DUELS = 20


@dataclass
class Measured:
    """What `measure` finds, computed again only when something was said or made gold since."""

    store: FeedbackStore
    dimensions: tuple[str, ...]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _at: tuple[Any, ...] = ()
    _found: dict[str, Any] = field(default_factory=dict)

    def now(self) -> dict[str, Any]:
        with self._lock:
            with self.store.reading() as c:
                newest = c.execute(sa.select(sa.func.max(q.judgements.c.event))).scalar()
                gold = c.execute(sa.select(sa.func.count()).where(q.items.c.gold.is_not(None))).scalar()
            if self._at != (newest, gold):
                self._found, self._at = measure(self.store, self.dimensions), (newest, gold)
            return self._found


def measure(store: FeedbackStore, dimensions: tuple[str, ...]) -> dict[str, Any]:
    """agreement: Krippendorff's alpha (ordinal) of the preference and each dimension, and shares of equal signs;
    pairs: Cohen's kappa of each two people; people: one row each; left: how often the left answer won, as shown.

    People are weighed, never left out: `weight` is their reliability beside the others' (1: as most).
    """
    said = from_store.everything(store)
    preferences = from_store.preference_votes(said)
    signs = sign_agreement(preferences)
    alphas = {"preference": alpha_interval(preferences, "ordinal")}
    alphas |= {d: alpha_interval(from_store.mark_votes(said, d), "ordinal") for d in dimensions}
    first = [s for s in said if not s.again]
    shown = [s.shown["preference"] for s in first if s.shown.get("preference")]
    return {
        "judgements": len(first),
        "items": len({s.item for s in first}),
        "agreement": {
            "alpha": {name: _json(found) for name, found in alphas.items()},
            "same_sign_with_ties": _json(signs.ties),
            "same_sign_without_ties": _json(signs.clear),
        },
        "left_wins": _json(wilson(sum(p < 0 for p in shown), len(shown)) if shown else None),
        "pairs": [asdict(k) for k in pairwise_kappa(preferences)],
        "people": _people(said, dimensions),
    }


def weights(store: FeedbackStore) -> dict[str, float]:
    """How reliable each annotator is beside the others, by their comparisons; none where there are too few."""
    return _weights(from_store.everything(store))


def _weights(said: list[from_store.Said]) -> dict[str, float]:
    duels = from_store.duels(said)
    if len(duels) < ENOUGH_DUELS:
        return {}
    fitted = bradley_terry(duels)
    return dict(zip(fitted.annotators, fitted.reliabilities.tolist(), strict=True))


def _people(said: list[from_store.Said], dimensions: tuple[str, ...]) -> list[dict[str, Any]]:
    reliable = _weights(said)
    gold = {g.annotator: g.right for g in gold_scores(*from_store.gold_votes(said), "preference")}
    paces = {p.annotator: p for p in pace(from_store.seconds(said))}
    again = {c.annotator: c for c in consistency(from_store.repeats(said), "preference")}
    drifts = {d: {x.annotator: x.change for x in drift(from_store.mark_votes(said, d))} for d in dimensions}
    counts: dict[str, int] = {}
    for s in said:
        counts[s.annotator] = counts.get(s.annotator, 0) + (not s.again)
    return [
        {
            "name": name,
            "judgements": n,
            "weight": reliable.get(name),
            "gold": _json(gold.get(name)),
            "same_again": _json(again[name].same) if name in again else None,
            "one_sided": _json(again[name].one_sided) if name in again else None,
            "seconds": paces[name].median if name in paces else None,
            "hasty": len(paces[name].hasty) if name in paces else 0,
            "drift": {d: _json(drifts[d].get(name)) for d in dimensions},
        }
        for name, n in sorted(counts.items())
    ]


def _json(found: Interval | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)
