"""All judgements of a store as the records that feedback.quality measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trueline.feedback import queue_tables as q
from trueline.feedback.labelling.judging import turned
from trueline.feedback.quality.bradley_terry import Duel
from trueline.feedback.quality.repeats import Repeat
from trueline.feedback.quality.votes import Vote
from trueline.feedback.store import FeedbackStore


@dataclass(frozen=True)
class Said:
    """One person's judgement of an item that stands: as shown, and in the item's own order (`own`)."""

    item: str
    annotator: str
    again: bool
    flipped: bool
    shown: Mapping[str, Any]
    gold: Mapping[str, Any] | None

    @property
    def own(self) -> dict[str, Any]:
        return turned(self.shown, flipped=self.flipped)


def everything(store: FeedbackStore) -> list[Said]:
    """In the order in which it was said; repeats too, what was undone not."""
    newest = (sa.select(sa.func.max(q.judgements.c.event)).where(q.judgements.c.kind == "judge")).group_by(
        q.judgements.c.assignment_id
    )
    query = (
        sa.select(
            q.judgements.c.item_id,
            q.judgements.c.annotator,
            q.judgements.c.content,
            q.assignments.c.again,
            q.assignments.c.flipped,
            q.items.c.gold,
        )
        .join(q.assignments, q.assignments.c.id == q.judgements.c.assignment_id)
        .join(q.items, q.items.c.id == q.judgements.c.item_id)
        .where(q.judgements.c.event.in_(newest), q.assignments.c.state == "judged")
        .order_by(q.judgements.c.event)
    )
    with store.reading() as c:
        return [Said(r.item_id, r.annotator, bool(r.again), r.flipped, r.content, r.gold) for r in c.execute(query)]


def preference_votes(said: list[Said]) -> list[Vote]:
    """-3 to 3 by item, in its own order; first judgements only."""
    return [
        Vote(s.item, s.annotator, s.own["preference"])
        for s in said
        if not s.again and s.shown.get("preference") is not None
    ]


def mark_votes(said: list[Said], dimension: str) -> list[Vote]:
    """1 to 5 by answer; "not applicable" is no vote."""
    return [
        Vote(answer, s.annotator, value)
        for s in said
        if not s.again
        for answer, marks in zip(s.shown["shown"], s.shown["marks"], strict=False)
        if (value := marks.get(dimension)) is not None
    ]


def duels(said: list[Said]) -> list[Duel]:
    return [
        Duel(s.shown["shown"][0], s.shown["shown"][1], s.annotator, float(s.shown["preference"]))
        for s in said
        if not s.again and len(s.shown["shown"]) == 2 and s.shown.get("preference") is not None
    ]


def repeats(said: list[Said]) -> list[Repeat]:
    """Preferences that were asked for twice."""
    first = {(s.item, s.annotator): s for s in said if not s.again}
    return [
        Repeat(s.item, s.annotator, before.shown["preference"], s.shown["preference"], before.flipped != s.flipped)
        for s in said
        if s.again
        and (before := first.get((s.item, s.annotator))) is not None
        and before.shown.get("preference") is not None
        and s.shown.get("preference") is not None
    ]


def seconds(said: list[Said]) -> list[Vote]:
    return [Vote(s.item, s.annotator, float(s.shown.get("seconds") or 0)) for s in said if not s.again]


def gold_votes(said: list[Said]) -> tuple[list[Vote], dict[str, Any]]:
    """Preferences on gold items, and what is right; whoever said what is right is not measured by it."""
    gold = [s for s in said if s.gold is not None and s.gold.get("preference") is not None and not s.again]
    gold = [s for s in gold if s.gold is not None and s.gold.get("by") != s.annotator]
    truth = {s.item: s.gold["preference"] for s in gold if s.gold is not None}
    return preference_votes(gold), truth
