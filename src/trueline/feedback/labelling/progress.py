"""How far the queue is, and one person in it."""

from __future__ import annotations

import sqlalchemy as sa

from trueline.feedback import queue_tables as q
from trueline.feedback.store import FeedbackStore

DAY = 86_400.0


def progress(store: FeedbackStore, annotator: str, now: float) -> dict[str, int]:
    """mine, mine_today: this person's judgements that stand; open: items with a free place; judged of wanted."""
    mine = (q.assignments.c.annotator == annotator) & (q.assignments.c.state == "judged")
    today = (q.judgements.c.annotator == annotator) & (q.judgements.c.kind == "judge")
    usual = q.items.c.gold.is_(None)
    with store.reading() as c:
        counts = {
            "mine": sa.select(sa.func.count()).select_from(q.assignments).where(mine),
            "mine_today": sa.select(sa.func.count(sa.distinct(q.judgements.c.assignment_id)))
            .where(today, q.judgements.c.created_at >= now - now % DAY),
            "open": sa.select(sa.func.count()).select_from(q.items).where(sa.literal_column("free > 0", sa.Boolean)),
            "judged": sa.select(sa.func.coalesce(sa.func.sum(q.items.c.judged), 0)).where(usual),
            "wanted": sa.select(sa.func.coalesce(sa.func.sum(q.items.c.wanted), 0)).where(usual),
        }  # fmt: skip
        return {name: int(c.execute(query).scalar_one()) for name, query in counts.items()}
