"""What a person said, into the store: once, whatever the network does, and never lost.

Each submission is an event, and brings the labels that count up to date in the same transaction; undoing one is
another event. A submission carries a key of the sender's: the same key again is the same submission.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trueline.feedback import queue_tables as q
from trueline.feedback import tables as t
from trueline.feedback.labelling.priorities import disagreement, priority
from trueline.feedback.labelling.queue import Queue, hold, leave, shown, yours
from trueline.feedback.labelling.records import OVERALL, Judgement, Refused
from trueline.feedback.store import ordered
from trueline.records import Annotator, Comparison


@dataclass(frozen=True)
class Submitted:
    """event: its number; repeated: it had been received before."""

    event: int
    repeated: bool = False


def submit(
    queue: Queue, assignment: int, annotator: str, judgement: Judgement, key: str, dimensions: tuple[str, ...]
) -> Submitted:
    """Refused: another's task (403), what is said is incomplete (422), said otherwise before, or too late (409)."""
    content = judgement.as_json()
    with queue.store.transaction() as c:
        yours(c, assignment, annotator, lock=True)
        if earlier := _earlier(c, annotator, key, assignment, content):
            return earlier
        row = _with_item(c, hold(c, assignment, annotator).id)
        judgement.check(shown(row), dimensions, rated=queue.config.ratings)
        event = _write(c, row, "judge", key, content, queue.clock())
        _set_state(c, row.id, "judged")
        if not row.again:
            _label(c, row, content, withdrawn=False)
            _count(c, row.item_id, queue)
        return Submitted(event)


def skip(queue: Queue, assignment: int, annotator: str, reason: str, key: str) -> Submitted:
    """Not this one, and not again: the slot is free for others, the reason is kept."""
    with queue.store.transaction() as c:
        row = yours(c, assignment, annotator, lock=True)
        content = {"reason": reason}
        if earlier := _earlier(c, annotator, key, assignment, content):
            return earlier
        leave(c, row, "skipped")
        return Submitted(_write(c, row, "skip", key, content, queue.clock()))


def flag(queue: Queue, assignment: int, annotator: str, reason: str, key: str) -> Submitted:
    """Mark an item as harmful or broken: it is blurred for those who come after, and reviewers see the reason."""
    with queue.store.transaction() as c:
        row = yours(c, assignment, annotator, lock=True)
        content = {"reason": reason}
        if earlier := _earlier(c, annotator, key, assignment, content):
            return earlier
        c.execute(q.items.update().where(q.items.c.id == row.item_id).values(blurred=True))
        return Submitted(_write(c, row, "flag", key, content, queue.clock()))


def undo(queue: Queue, annotator: str, key: str) -> int:
    """Take back this person's last judgement that stands, or skip; returns its task, theirs again with what it said."""
    with queue.store.transaction() as c:
        done = _said(c, annotator, key)
        if done is not None:
            return int(done.assignment_id)
        last = c.execute(
            sa.select(q.assignments.c.id, q.judgements.c.content)
            .join(q.judgements, q.judgements.c.assignment_id == q.assignments.c.id)
            .where(q.assignments.c.annotator == annotator, q.assignments.c.state.in_(("judged", "skipped")))
            .where(q.judgements.c.kind.in_(("judge", "skip")))
            .order_by(q.judgements.c.event.desc())
            .limit(1)
        ).first()
        if last is None:
            raise Refused(404, "there is nothing to undo")
        yours(c, last.id, annotator, lock=True)
        row = _with_item(c, last.id)
        now = queue.clock()
        if row.state == "skipped":
            row = hold(c, last.id, annotator)
        elif not row.again:
            _label(c, row, last.content, withdrawn=True)
        _write(c, row, "undo", key, {}, now)
        values = {"state": "leased", "leased_until": now + queue.config.lease}
        if "shown" in last.content:
            values["draft"] = last.content
        c.execute(q.assignments.update().where(q.assignments.c.id == last.id).values(**values))
        _count(c, row.item_id, queue)
        return int(last.id)


def turned(content: Mapping[str, Any], *, flipped: bool) -> dict[str, Any]:
    """A judgement in the item's own order of answers."""
    if not flipped:
        return dict(content)
    preference = content.get("preference")
    return {
        **content,
        "shown": list(content["shown"])[::-1],
        "preference": None if preference is None else -preference,
        "marks": list(content["marks"])[::-1],
    }


def standing(c: sa.Connection, item: str) -> list[dict[str, Any]]:
    """The judgements of an item that count now, in its own order of answers; each with its annotator."""
    newest = (
        sa.select(sa.func.max(q.judgements.c.event))
        .join(q.assignments, q.assignments.c.id == q.judgements.c.assignment_id)
        .where(q.judgements.c.item_id == item, q.judgements.c.kind == "judge")
        .where(q.assignments.c.state == "judged", q.assignments.c.again == 0)
        .group_by(q.judgements.c.assignment_id)
    )
    rows = c.execute(
        sa.select(q.judgements, q.assignments.c.flipped)
        .join(q.assignments, q.assignments.c.id == q.judgements.c.assignment_id)
        .where(q.judgements.c.event.in_(newest))
        .order_by(q.judgements.c.event)
    )
    return [{**turned(r.content, flipped=r.flipped), "annotator": r.annotator} for r in rows]


def _with_item(c: sa.Connection, assignment: int) -> Any:
    return c.execute(
        sa.select(q.assignments, q.items.c.a_id, q.items.c.b_id)
        .join(q.items, q.items.c.id == q.assignments.c.item_id)
        .where(q.assignments.c.id == assignment)
    ).one()


def _set_state(c: sa.Connection, assignment: int, state: str) -> None:
    c.execute(q.assignments.update().where(q.assignments.c.id == assignment).values(state=state, draft=None))


def _said(c: sa.Connection, annotator: str, key: str) -> Any:
    return c.execute(
        sa.select(q.judgements).where(q.judgements.c.annotator == annotator, q.judgements.c.key == key)
    ).first()


def _earlier(
    c: sa.Connection, annotator: str, key: str, assignment: int, content: Mapping[str, Any]
) -> Submitted | None:
    """The same submission received before. Refused (409) with both versions where the key said something else."""
    row = _said(c, annotator, key)
    if row is None:
        return None
    if row.assignment_id == assignment and row.content == content:
        return Submitted(int(row.event), repeated=True)
    raise Refused(409, "this submission was received before with another content", stored=row.content, sent=content)


def _write(c: sa.Connection, row: Any, kind: str, key: str, content: Mapping[str, Any], now: float) -> int:
    values = {"assignment_id": row.id, "item_id": row.item_id, "annotator": row.annotator, "kind": kind, "key": key}
    insert = q.judgements.insert().values(**values, content=dict(content), created_at=now)
    return int(c.execute(insert.returning(q.judgements.c.event)).scalar_one())


def _label(c: sa.Connection, row: Any, content: Mapping[str, Any], *, withdrawn: bool) -> None:
    """The labels of one judgement, or their withdrawal, as the store's own events."""
    who = {"annotator": row.annotator, "withdrawn": withdrawn}
    ratings = [
        {"completion_id": i, "dimension": d, "value": v, **who}
        for i, marks in zip(content["shown"], content["marks"], strict=False)
        for d, v in marks.items()
    ]
    if ratings:
        c.execute(t.rating_events.insert(), ratings)
    if row.b_id is not None:
        left, right = content["shown"]
        said = ordered(
            Comparison(left, right, OVERALL, content["preference"] or 0, Annotator(row.annotator), content["both_bad"])
        )
        values = {"a_id": said.a_id, "b_id": said.b_id, "dimension": OVERALL, "preference": said.preference}
        c.execute(t.comparison_events.insert().values(**values, both_bad=said.both_bad, **who))


def _count(c: sa.Connection, item: str, queue: Queue) -> None:
    """After a judgement: how many there are, how far apart, and whether one more person is to be asked."""
    row = c.execute(sa.select(q.items).where(q.items.c.id == item)).one()
    said: Sequence[Mapping[str, Any]] = standing(c, item)
    apart = disagreement(said)
    more = int(row.gold is None and apart > 0 and row.free == 0 and len(said) == row.wanted < queue.config.most)
    first = priority(gold=row.gold is not None, disagreement=apart, uncertainty=row.uncertainty, judged=len(said))
    values = {"judged": len(said), "disagreement": apart, "priority": first}
    values |= {"wanted": row.wanted + more, "free": row.free + more}
    c.execute(q.items.update().where(q.items.c.id == item).values(**values))
