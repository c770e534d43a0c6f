"""Disagreements, looked at by a reviewer who commits to a judgement before seeing what the others said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trueline.feedback import queue_tables as q
from trueline.feedback import tables as t
from trueline.feedback.labelling.items import EVERYBODY
from trueline.feedback.labelling.judging import standing
from trueline.feedback.labelling.priorities import GOLD
from trueline.feedback.labelling.queue import Queue, lock_item
from trueline.feedback.labelling.records import Refused
from trueline.feedback.store import read_prompt


@dataclass(frozen=True)
class Disputed:
    """An item that people disagree on, or that somebody flagged. judged: how many judgements; mine: one is the
    reviewer's own, so that the others' can be shown."""

    id: str
    request: str
    judged: int
    disagreement: float
    flags: tuple[str, ...]
    gold: bool
    mine: bool


def disputed(queue: Queue, reviewer: str, most: int = 100) -> list[Disputed]:
    """The items that are to be looked at, the worst first."""
    flagged = sa.select(q.judgements.c.item_id).where(q.judgements.c.kind == "flag")
    wanted = (q.items.c.disagreement > 0) | q.items.c.id.in_(flagged)
    query = (
        sa.select(q.items, t.prompts.c.messages, t.prompts.c.meta)
        .join(t.prompts, t.prompts.c.id == q.items.c.prompt_id)
        .where(wanted)
        .order_by(q.items.c.disagreement.desc(), q.items.c.id)
        .limit(most)
    )
    with queue.store.reading() as c:
        found = []
        for row in c.execute(query).all():
            flags = sa.select(q.judgements.c.content).where(
                q.judgements.c.item_id == row.id, q.judgements.c.kind == "flag"
            )
            reasons = tuple(str(r.get("reason", "")) for r in c.execute(flags).scalars())
            request = read_prompt(row).messages[-1].content[:300]
            mine = _judged_by(c, row.id, reviewer)
            found.append(Disputed(row.id, request, row.judged, row.disagreement, reasons, row.gold is not None, mine))
        return found


def others(queue: Queue, item: str, reviewer: str) -> list[dict[str, Any]]:
    """What everybody said of an item, in its own order of answers. Refused (403) before the reviewer has judged it."""
    with queue.store.reading() as c:
        if not _judged_by(c, item, reviewer):
            raise Refused(403, "judge this item yourself first; then you see what the others said")
        return standing(c, item)


def own_judgement(queue: Queue, item: str, person: str) -> dict[str, Any] | None:
    """What this person said of an item, if they did, in its own order of answers."""
    with queue.store.reading() as c:
        return next((s for s in standing(c, item) if s["annotator"] == person), None)


def make_gold(queue: Queue, item: str, reviewer: str) -> None:
    """Take the reviewer's own judgement as what is right: the item goes to everybody, to see how reliable they are."""
    with queue.store.transaction() as c:
        row = lock_item(c, item)
        mine = [s for s in standing(c, item) if s["annotator"] == reviewer]
        if not mine:
            raise Refused(409, "judge this item yourself first; your judgement is what becomes gold")
        known = {name: mine[-1][name] for name in ("preference", "both_bad", "marks")} | {"by": reviewer}
        values = {"gold": known, "wanted": EVERYBODY, "free": EVERYBODY - row.wanted + row.free, "priority": GOLD}
        c.execute(q.items.update().where(q.items.c.id == item).values(**values))


def _judged_by(c: sa.Connection, item: str, person: str) -> bool:
    mine = sa.select(q.assignments.c.id).where(
        q.assignments.c.item_id == item, q.assignments.c.annotator == person, q.assignments.c.state == "judged"
    )
    return c.execute(mine.limit(1)).first() is not None
