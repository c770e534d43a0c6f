"""The audit log: each entry holds the hash of the one before, so that a changed or missing entry shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trueline.feedback.account_tables import audit_log
from trueline.feedback.store import FeedbackStore

FIRST = "0" * 64
WRITING = 7_446_152_902  # the key of PostgreSQL's advisory lock: entries are written one after the other


@dataclass(frozen=True)
class Entry:
    event: int
    at: float
    who: str
    action: str
    about: str
    details: Mapping[str, Any]
    previous: str
    hash: str

    @property
    def expected(self) -> str:
        """The hash that its content has."""
        return _hash(self.at, self.who, self.action, self.about, self.details, self.previous)


def write(c: sa.Connection, at: float, who: str, action: str, about: str, **details: Any) -> None:
    """One entry more, in the caller's transaction."""
    if c.dialect.name == "postgresql":
        c.execute(sa.select(sa.func.pg_advisory_xact_lock(WRITING)))
    last = c.execute(sa.select(audit_log.c.hash).order_by(audit_log.c.event.desc()).limit(1)).scalar()
    previous = last or FIRST
    values = {"at": at, "who": who, "action": action, "about": about, "details": details, "previous": previous}
    c.execute(audit_log.insert().values(**values, hash=_hash(at, who, action, about, details, previous)))


def entries(store: FeedbackStore, newest: int = 200) -> list[Entry]:
    """The newest entries, newest first."""
    with store.reading() as c:
        rows = c.execute(sa.select(audit_log).order_by(audit_log.c.event.desc()).limit(newest))
        return [Entry(**row) for row in rows.mappings()]


def faults(store: FeedbackStore) -> Iterator[str]:
    """What does not fit in the whole log, in words; nothing where it is as it was written."""
    previous = FIRST
    with store.reading() as c:
        for row in c.execute(sa.select(audit_log).order_by(audit_log.c.event)).mappings():
            entry = Entry(**row)
            if entry.previous != previous:
                yield f"entry {entry.event} does not follow the one before: entries are missing or were put in"
            if entry.hash != entry.expected:
                yield f"entry {entry.event} was changed after it was written"
            previous = entry.hash


def _hash(at: float, who: str, action: str, about: str, details: Mapping[str, Any], previous: str) -> str:
    said = json.dumps([at, who, action, about, dict(details), previous], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()
