"""Who judges what next: claims with leases that run out, renew, and can be given back.

Locks are taken in one order, items before assignments, so that PostgreSQL meets no deadlock; SQLite has one writer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from trueline.config import LabellingConfig
from trueline.feedback import queue_tables as q
from trueline.feedback import tables as t
from trueline.feedback.engine import insert_missing
from trueline.feedback.labelling.records import Refused, Task
from trueline.feedback.store import FeedbackStore, read_prompt
from trueline.records import Completion, content_id

EXPIRED_AT_ONCE = 20
SINCE = 5  # an item is served again when its first judgement lies so many judgements back
SOMETHING_FREE = sa.literal_column("items.free > 0", sa.Boolean)  # literal: else the partial index is not used


@dataclass(frozen=True)
class Queue:
    """clock: seconds since 1970."""

    store: FeedbackStore
    config: LabellingConfig = field(default_factory=LabellingConfig)
    clock: Callable[[], float] = time.time

    def claim(self, annotator: str) -> Task | None:
        """The task that this person took up last and holds, else the next one; None where nothing is left for them."""
        now = self.clock()
        with self.store.transaction() as c:
            ensure_person(c, annotator)
            held = c.execute(
                sa.select(q.assignments)
                .where(q.assignments.c.annotator == annotator, q.assignments.c.state == "leased")
                .order_by(q.assignments.c.leased_until.desc(), q.assignments.c.id.desc())
                .limit(1)
            ).first()
            if held is not None and held.leased_until >= now:
                _set(c, held.id, leased_until=now + self.config.lease)
                return read_task(c, held.id)
            self._expire(c, now)
            found = self._again(c, annotator, now) or self._next(c, annotator, now)
            return None if found is None else read_task(c, found)

    def task(self, assignment: int, annotator: str) -> Task:
        """A task of this person's, whatever became of it."""
        with self.store.reading() as c:
            yours(c, assignment, annotator)
            return read_task(c, assignment)

    def renew(self, assignment: int, annotator: str) -> float:
        """Until when it is theirs now. Refused (409) where it has run out and others took the place."""
        with self.store.transaction() as c:
            row = hold(c, assignment, annotator)
            until = self.clock() + self.config.lease
            _set(c, row.id, leased_until=until)
            return until

    def draft(self, assignment: int, annotator: str, content: dict[str, Any]) -> None:
        """Keep what is written so far; also where the lease ran out."""
        with self.store.transaction() as c:
            row = yours(c, assignment, annotator)
            _check_open(row)
            _set(c, row.id, draft=content)

    def release(self, assignment: int, annotator: str) -> None:
        """Give a task back unjudged; it may come again."""
        with self.store.transaction() as c:
            leave(c, yours(c, assignment, annotator, lock=True), "released")

    def _expire(self, c: sa.Connection, now: float) -> None:
        late = (q.assignments.c.state == "leased") & (q.assignments.c.leased_until < now)
        items = sa.select(q.assignments.c.item_id).where(late).limit(EXPIRED_AT_ONCE).scalar_subquery()
        locked = sa.select(q.items.c.id).where(q.items.c.id.in_(items)).order_by(q.items.c.id)
        for item in c.execute(locked.with_for_update(skip_locked=True)).scalars().all():
            for row in c.execute(sa.select(q.assignments).where(late, q.assignments.c.item_id == item)).all():
                leave(c, row, "expired")

    def _next(self, c: sa.Connection, annotator: str, now: float) -> int | None:
        theirs = sa.exists().where(
            q.assignments.c.item_id == q.items.c.id,
            q.assignments.c.annotator == annotator,
            q.assignments.c.state.in_(("leased", "judged", "skipped")),
        )
        item = c.execute(
            sa.select(q.items)
            .where(SOMETHING_FREE, ~theirs)
            .where(q.items.c.held_for.is_(None) | (q.items.c.held_for == annotator))
            .order_by(q.items.c.priority.desc(), q.items.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        ).first()
        return None if item is None else take_slot(c, item, annotator, now + self.config.lease, now)

    def _again(self, c: sa.Connection, annotator: str, now: float) -> int | None:
        """Now and then an item that they judged some time ago, flipped, without a slot: is their judgement the same?"""
        mine = q.assignments.c.annotator == annotator
        judged = sa.select(sa.func.count()).where(mine, q.assignments.c.state == "judged")
        n = int(c.execute(judged).scalar_one())
        if n <= SINCE or int(content_id("again", annotator, str(n)), 16) % 1000 >= 1000 * self.config.again:
            return None
        first = q.assignments.alias()
        twice = sa.exists().where(q.assignments.c.item_id == first.c.item_id, q.assignments.c.again == 1, mine)
        row = c.execute(
            sa.select(first, q.items.c.b_id)
            .join(q.items, q.items.c.id == first.c.item_id)
            .where(first.c.annotator == annotator, first.c.state == "judged", first.c.again == 0, ~twice)
            .order_by(first.c.id)
            .limit(1)
        ).first()
        if row is None or row.id in _last(c, annotator, SINCE):
            return None
        values = {"item_id": row.item_id, "annotator": annotator, "again": 1, "slot": None, "state": "leased"}
        values |= {"flipped": not row.flipped and row.b_id is not None}
        values |= {"leased_until": now + self.config.lease, "created_at": now}
        return int(c.execute(q.assignments.insert().values(**values).returning(q.assignments.c.id)).scalar_one())


def open_item(queue: Queue, item: str, annotator: str) -> Task:
    """One item as a task of this person's, beside the places that the queue gives out.

    Refused (404, 403): no such item, or one held for another person.
    """
    now = queue.clock()
    with queue.store.transaction() as c:
        ensure_person(c, annotator)
        row = lock_item(c, item)
        if row.held_for not in (None, annotator):
            raise Refused(403, f"item {item} is held for another person")
        held = c.execute(
            sa.select(q.assignments).where(
                q.assignments.c.item_id == item, q.assignments.c.annotator == annotator, q.assignments.c.again == 0
            )
        ).first()
        if held is not None and held.state == "leased":
            _set(c, held.id, leased_until=now + queue.config.lease)
        if held is not None and held.state in ("leased", "judged"):
            return read_task(c, held.id)
        if row.free == 0:
            c.execute(q.items.update().where(q.items.c.id == item).values(wanted=row.wanted + 1, free=1))
            row = lock_item(c, item)
        return read_task(c, take_slot(c, row, annotator, now + queue.config.lease, now))


def lock_item(c: sa.Connection, item: str) -> Any:
    """An item's row, locked; Refused (404) where there is none."""
    row = c.execute(sa.select(q.items).where(q.items.c.id == item).with_for_update()).first()
    if row is None:
        raise Refused(404, f"no item {item!r} in this project")
    return row


def take_slot(c: sa.Connection, item: Any, annotator: str, until: float, now: float) -> int:
    """Give a free slot of a locked item to a person; returns the assignment's id."""
    taken = set(
        c.execute(
            sa.select(q.assignments.c.slot).where(q.assignments.c.item_id == item.id, q.assignments.c.slot.is_not(None))
        ).scalars()
    )
    slot = next(i for i in range(item.wanted) if i not in taken)
    c.execute(q.items.update().where(q.items.c.id == item.id).values(free=q.items.c.free - 1))
    before = c.execute(
        sa.select(q.assignments.c.id).where(
            q.assignments.c.item_id == item.id, q.assignments.c.annotator == annotator, q.assignments.c.again == 0
        )
    ).scalar()
    if before is not None:  # given back, or run out: the draft and the sides are still there
        _set(c, before, slot=slot, state="leased", leased_until=until)
        return int(before)
    flipped = item.b_id is not None and int(content_id("side", item.id, annotator), 16) % 2 == 1
    values = {"item_id": item.id, "annotator": annotator, "again": 0, "slot": slot, "state": "leased"}
    values |= {"flipped": flipped, "leased_until": until, "created_at": now}
    return int(c.execute(q.assignments.insert().values(**values).returning(q.assignments.c.id)).scalar_one())


def yours(c: sa.Connection, assignment: int, annotator: str, *, lock: bool = False) -> Any:
    """The assignment's row; Refused (404, 403) where there is none, or it is another person's. lock: its item first."""
    if lock:
        item = sa.select(q.assignments.c.item_id).where(q.assignments.c.id == assignment).scalar_subquery()
        c.execute(sa.select(q.items.c.id).where(q.items.c.id == item).with_for_update())
    row = c.execute(sa.select(q.assignments).where(q.assignments.c.id == assignment)).first()
    if row is None:
        raise Refused(404, f"no task {assignment}; ask for the next one")
    if row.annotator != annotator:
        raise Refused(403, f"task {assignment} is another person's; ask for one of your own")
    return row


def hold(c: sa.Connection, assignment: int, annotator: str) -> Any:
    """The same, holding a slot: taken again where the lease ran out and a place is left; else Refused (409)."""
    row = yours(c, assignment, annotator, lock=True)
    _check_open(row)
    if row.state == "leased":
        return row
    item = c.execute(sa.select(q.items).where(q.items.c.id == row.item_id)).one()
    if row.again:
        _set(c, row.id, state="leased")
    elif item.free > 0:
        take_slot(c, item, annotator, row.leased_until, row.created_at)
    else:
        raise Refused(409, "your time for this task ran out and others have judged it; your draft is kept", lost=True)
    return c.execute(sa.select(q.assignments).where(q.assignments.c.id == assignment)).one()


def leave(c: sa.Connection, row: Any, state: str) -> None:
    """Free the slot of a row as it was read, and say why: released, expired or skipped. Refused (409): judged."""
    _check_open(row)
    if row.slot is not None:
        c.execute(q.items.update().where(q.items.c.id == row.item_id).values(free=q.items.c.free + 1))
    _set(c, row.id, state=state, slot=None)


def _check_open(row: Any) -> None:
    if row.state == "judged":
        raise Refused(409, "this task is judged already; undo it first")


def _set(c: sa.Connection, assignment: int, **values: Any) -> None:
    c.execute(q.assignments.update().where(q.assignments.c.id == assignment).values(**values))


def _last(c: sa.Connection, annotator: str, n: int) -> set[int]:
    mine = sa.select(q.assignments.c.id).where(q.assignments.c.annotator == annotator)
    return set(c.execute(mine.order_by(q.assignments.c.id.desc()).limit(n)).scalars())


def ensure_person(c: sa.Connection, annotator: str) -> None:
    """Make the annotator where there is none. Refused (409): the name is a simulated annotator's."""
    found = c.execute(sa.select(t.annotators.c.simulated).where(t.annotators.c.name == annotator)).scalar()
    if found:
        raise Refused(409, f"annotator {annotator!r} is simulated in this store; label under another name")
    if found is None:
        c.execute(insert_missing(c, t.annotators, "name").values(name=annotator, simulated=False))


def read_task(c: sa.Connection, assignment: int) -> Task:
    """An assignment as its person sees it."""
    row = c.execute(
        sa.select(q.assignments, q.items.c.a_id, q.items.c.b_id, q.items.c.prompt_id, q.items.c.blurred)
        .join(q.items, q.items.c.id == q.assignments.c.item_id)
        .where(q.assignments.c.id == assignment)
    ).one()
    prompt = read_prompt(c.execute(sa.select(t.prompts).where(t.prompts.c.id == row.prompt_id)).one())
    texts = {
        r.id: Completion(r.prompt_id, r.text, r.source, r.finish)
        for r in c.execute(sa.select(t.completions).where(t.completions.c.id.in_([row.a_id, row.b_id])))
    }
    answers = tuple(texts[i] for i in shown(row))
    return Task(row.id, row.item_id, prompt, answers, row.leased_until, bool(row.again), row.blurred, row.draft)


def shown(row: Any) -> tuple[str, ...]:
    """The completion ids in the order that this assignment shows them, left first."""
    ids = (row.a_id,) if row.b_id is None else (row.a_id, row.b_id)
    return ids[::-1] if row.flipped else ids
