"""How unsure a reward model is of what waits in the queue: the more, the sooner people see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from trueline.feedback import queue_tables as q
from trueline.feedback import tables as t
from trueline.feedback.labelling.priorities import priority
from trueline.feedback.store import FeedbackStore, chunks, read_prompt
from trueline.records import Completion, Exchange


def waiting(store: FeedbackStore, at_once: int = 1000) -> Iterator[dict[str, tuple[Exchange, ...]]]:
    """The answers of items that have a free place and are no gold, by item; so many items at a time."""
    last = ""
    while True:
        query = sa.select(q.items.c.id, q.items.c.prompt_id, q.items.c.a_id, q.items.c.b_id)
        query = query.where(q.items.c.free > 0, q.items.c.gold.is_(None), q.items.c.id > last)
        with store.reading() as c:
            rows = c.execute(query.order_by(q.items.c.id).limit(at_once)).all()
            if not rows:
                return
            prompts = t.prompts.c.id.in_({r.prompt_id for r in rows})
            read = {r.id: read_prompt(r) for r in c.execute(sa.select(t.prompts).where(prompts))}
            wanted = t.completions.c.id.in_({i for r in rows for i in (r.a_id, r.b_id) if i})
            answers = {
                r.id: Exchange(read[r.prompt_id], Completion(r.prompt_id, r.text, r.source, r.finish))
                for r in c.execute(sa.select(t.completions).where(wanted))
            }
        yield {r.id: tuple(answers[i] for i in (r.a_id, r.b_id) if i) for r in rows}
        last = rows[-1].id


def note(store: FeedbackStore, uncertainty: Mapping[str, float]) -> None:
    """Keep the uncertainty of items, 0 or more, and put them in its order."""
    for part in chunks(sorted(uncertainty)):
        with store.transaction() as c:
            rows = c.execute(sa.select(q.items).where(q.items.c.id.in_(part)).order_by(q.items.c.id).with_for_update())
            for row in rows.all():
                doubt = uncertainty[row.id]
                first = priority(
                    gold=row.gold is not None, disagreement=row.disagreement, uncertainty=doubt, judged=row.judged
                )
                c.execute(q.items.update().where(q.items.c.id == row.id).values(uncertainty=doubt, priority=first))
