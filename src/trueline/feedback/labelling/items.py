"""What is put before people: pairs of answers to a prompt, single answers, and gold items with a known judgement."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trueline.errors import InputError
from trueline.feedback import queue_tables as q
from trueline.feedback import tables as t
from trueline.feedback.labelling.priorities import priority
from trueline.feedback.store import FeedbackStore, chunks
from trueline.records import content_id


@dataclass(frozen=True)
class Item:
    """Two answers to a prompt, or one. gold: what is known of it, as a judgement in the order a, b.

    uncertainty: the reward model's doubt, which brings it forward; held_for: the only person who gets it.
    """

    prompt_id: str
    a_id: str
    b_id: str | None = None
    gold: Mapping[str, Any] | None = None
    uncertainty: float = 0.0
    blurred: bool = False
    held_for: str | None = None

    @property
    def id(self) -> str:
        return content_id("item", *self.answers)

    @property
    def answers(self) -> tuple[str, ...]:
        return (self.a_id,) if self.b_id is None else tuple(sorted((self.a_id, self.b_id)))


def add_items(store: FeedbackStore, items: Iterable[Item], judgements: int) -> int:
    """Put items into the queue, each to be judged by so many people; those that are there stay as they are.

    A gold item goes to everybody. Returns how many are new. InputError: an answer that is not in the store.
    """
    new, now = 0, time.time()
    for part in chunks(items):
        with store.transaction() as c:
            rows = {i.id: _row(i, judgements, now) for i in part}
            there = c.execute(sa.select(q.items.c.id).where(q.items.c.id.in_(list(rows)))).scalars()
            for known in there.all():
                del rows[known]
            wanted = {i for r in rows.values() for i in (r["a_id"], r["b_id"]) if i}
            found = set(c.execute(sa.select(t.completions.c.id).where(t.completions.c.id.in_(wanted))).scalars())
            if missing := sorted(wanted - found):
                raise InputError(f"answer {missing[0]!r} is not in the store; add its exchange first")
            if rows:
                c.execute(q.items.insert(), list(rows.values()))
            new += len(rows)
    return new


def unjudged(store: FeedbackStore, *, pairs: bool = True) -> Iterator[Item]:
    """Answers in no item that nobody has labelled: each prompt's in pairs, one that is left over by itself.

    pairs=False: one by one, to be rated. Answers of the same text are one answer in the store, so that nobody compares
    a text with itself.
    """
    known = [sa.select(q.items.c.a_id), sa.select(q.items.c.b_id).where(q.items.c.b_id.is_not(None))]
    known += [sa.select(t.rating_events.c.completion_id)]
    known += [sa.select(side) for side in (t.comparison_events.c.a_id, t.comparison_events.c.b_id)]
    query = sa.select(t.completions.c.id, t.completions.c.prompt_id)
    for labelled in known:
        query = query.where(t.completions.c.id.not_in(labelled))
    with store.reading() as c:
        rows = c.execute(query.order_by(t.completions.c.prompt_id, t.completions.c.id)).all()
    for prompt, group in itertools.groupby(rows, key=lambda r: r.prompt_id):
        ids = [r.id for r in group]
        paired = len(ids) - len(ids) % 2 if pairs else 0
        yield from (Item(prompt, a, b) for a, b in zip(ids[:paired:2], ids[1:paired:2], strict=True))
        yield from (Item(prompt, i) for i in ids[paired:])


EVERYBODY = 1_000_000


def _row(item: Item, judgements: int, now: float) -> dict[str, Any]:
    wanted = EVERYBODY if item.gold is not None else judgements
    answers: Sequence[str | None] = (*item.answers, None)
    return {
        "id": item.id,
        "prompt_id": item.prompt_id,
        "a_id": answers[0],
        "b_id": answers[1],
        "wanted": wanted,
        "free": wanted,
        "judged": 0,
        "gold": None if item.gold is None else dict(item.gold),
        "uncertainty": item.uncertainty,
        "disagreement": 0.0,
        "priority": priority(gold=item.gold is not None, disagreement=0, uncertainty=item.uncertainty, judged=0),
        "blurred": item.blurred,
        "held_for": item.held_for,
        "created_at": now,
    }
