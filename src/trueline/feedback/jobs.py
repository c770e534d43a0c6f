"""Work that a page asks for and a worker process does: rows with a lease, so that a crash of either loses nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trueline.feedback.queue_tables import BIG
from trueline.feedback.store import FeedbackStore
from trueline.feedback.tables import metadata

TRIES = 3

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
    sa.Column("asked_by", sa.String(200), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("leased_until", sa.Float, nullable=False),
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.CheckConstraint("state IN ('waiting', 'taken', 'done', 'failed')", name="job_state"),
    sa.Index("job_next", "state", "id"),
)


@dataclass(frozen=True)
class Job:
    id: int
    kind: str
    content: Mapping[str, Any]
    asked_by: str
    state: str
    result: Mapping[str, Any] | None


def ask(store: FeedbackStore, kind: str, content: Mapping[str, Any], by: str, now: float) -> int:
    """A new job; returns its id."""
    values = {"kind": kind, "content": dict(content), "asked_by": by, "state": "waiting", "tries": 0}
    with store.transaction() as c:
        insert = jobs.insert().values(**values, leased_until=0.0, created_at=now)
        return int(c.execute(insert.returning(jobs.c.id)).scalar_one())


def find(store: FeedbackStore, job: int) -> Job | None:
    with store.reading() as c:
        row = c.execute(sa.select(jobs).where(jobs.c.id == job)).first()
    return None if row is None else _job(row)


def take(store: FeedbackStore, now: float, lease: float) -> Job | None:
    """The oldest job that waits, or whose worker went silent; after three tries that ended so it has failed."""
    left = (jobs.c.state == "taken") & (jobs.c.leased_until < now)
    some = (jobs.c.state == "waiting") | left
    with store.reading() as c:  # an idle worker asks often: it must not stand in the way of those who write
        if c.execute(sa.select(jobs.c.id).where(some).limit(1)).first() is None:
            return None
    with store.transaction() as c:
        given_up = {"state": "failed", "result": {"error": "the worker ended three times while doing this"}}
        c.execute(jobs.update().where(left, jobs.c.tries >= TRIES).values(**given_up))
        row = c.execute(
            sa.select(jobs).where(some).order_by(jobs.c.id).limit(1).with_for_update(skip_locked=True)
        ).first()
        if row is None:
            return None
        taken = {"state": "taken", "tries": row.tries + 1, "leased_until": now + lease}
        c.execute(jobs.update().where(jobs.c.id == row.id).values(**taken))
    return _job(row)


def finish(store: FeedbackStore, job: int, result: Mapping[str, Any], *, failed: bool = False) -> None:
    values = {"state": "failed" if failed else "done", "result": dict(result)}
    with store.transaction() as c:
        c.execute(jobs.update().where(jobs.c.id == job).values(**values))


def _job(row: Any) -> Job:
    return Job(row.id, row.kind, row.content, row.asked_by, row.state, row.result)
