"""The audit log: each entry holds the hash of the one before, so that a changed or missing entry shows.

What names people is sealed: the chain holds a salted hash of it, and the words lie in a table from which they can be
erased. Without the salt the hash tells nothing of a name that one could guess, and the chain holds as before.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trueline.feedback.account_tables import audit_log, audit_said
from trueline.feedback.store import FeedbackStore

FIRST = "0" * 64
WRITING = 7_446_152_902  # the key of PostgreSQL's advisory lock: entries are written one after the other
SEALED, ERASED, PROGRAM = "sealed", "erased", "trueline"
ERASES = ("erase", "purge")  # actions whose details list, as `entries`, those whose words they erased


@dataclass(frozen=True)
class Entry:
    """As it can be read now: what was erased of it reads "erased"."""

    event: int
    at: float
    who: str
    action: str
    about: str
    details: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True)
class Head:
    """How long the chain is, and the hash of its last entry, which stands for all of it."""

    entries: int
    hash: str


def write(c: sa.Connection, at: float, who: str, action: str, about: str, **details: Any) -> int:
    """One entry more, in the caller's transaction, with what names people sealed; returns its number."""
    said = {"salt": secrets.token_hex(16), "who": who, "about": about, "details": details}
    event = _append(c, at, SEALED, action, _seal(said), {})
    c.execute(audit_said.insert().values(event=event, **said))
    return event


def write_plain(c: sa.Connection, at: float, action: str, about: str, **details: Any) -> int:
    """An entry that cannot be erased: about files and numbers, never about people."""
    return _append(c, at, PROGRAM, action, about, details)


def entries(store: FeedbackStore, newest: int = 200) -> list[Entry]:
    """The newest entries, newest first."""
    with store.reading() as c:
        query = sa.select(audit_log).order_by(audit_log.c.event.desc()).limit(newest)
        return [_readable(row, said) for row, said in _with_words(c, query)][::-1]


def plain_entries(c: sa.Connection, *actions: str) -> list[Entry]:
    """All entries of `write_plain` of some actions, oldest first."""
    query = sa.select(audit_log).where(audit_log.c.who == PROGRAM, audit_log.c.action.in_(actions))
    return [Entry(**row) for row in c.execute(query.order_by(audit_log.c.event)).mappings()]


def head(store: FeedbackStore) -> Head:
    with store.reading() as c:
        number = c.execute(sa.select(sa.func.count()).select_from(audit_log)).scalar_one()
        last = c.execute(sa.select(audit_log.c.hash).order_by(audit_log.c.event.desc()).limit(1)).scalar()
        return Head(int(number), last or FIRST)


def has(store: FeedbackStore, noted: str) -> bool:
    """Whether a hash that was noted elsewhere is that of an entry; the empty chain's is always."""
    with store.reading() as c:
        query = sa.select(audit_log.c.event).where(audit_log.c.hash == noted)
        return noted == FIRST or c.execute(query).first() is not None


def faults(store: FeedbackStore) -> Iterator[str]:
    """What does not fit in the whole log, in words; nothing where it is as it was written."""
    previous = FIRST
    with store.reading() as c:
        erased = {n for e in plain_entries(c, *ERASES) for n in e.details.get("entries", ())}
        for row, said in _with_words(c, sa.select(audit_log).order_by(audit_log.c.event)):
            if row["previous"] != previous:
                yield f"entry {row['event']} does not follow the one before: entries are missing or were put in"
            changed = row["hash"] != _hash(*(row[k] for k in ("at", "who", "action", "about", "details", "previous")))
            if changed or (said is not None and row["about"] != _seal(said)):
                yield f"entry {row['event']} was changed after it was written"
            elif row["who"] == SEALED and said is None and row["event"] not in erased:
                yield f"entry {row['event']}: who did it to what is gone, and no entry says that it was erased"
            previous = row["hash"]


def shred(c: sa.Connection, events: Iterable[int]) -> None:
    """Erase the words of entries; an entry of ERASES must list them."""
    for event in events:
        c.execute(audit_said.delete().where(audit_said.c.event == event))


def naming(c: sa.Connection, name: str) -> tuple[list[int], list[int]]:
    """The entries whose words name somebody: those that can be erased, and older ones, written before words were
    sealed, that cannot.
    """
    words, old = audit_said.c, audit_log.c
    sealed = c.execute(sa.select(words.event, words.who, words.about, words.details).order_by(words.event))
    found = [r.event for r in sealed if name in (r.who, r.about) or _mentions(r.details, name)]
    rows = c.execute(sa.select(old.event, old.who, old.about, old.details).where(old.who.not_in((SEALED, PROGRAM))))
    return found, [r.event for r in rows if name in (r.who, r.about) or _mentions(r.details, name)]


def sealed_before(c: sa.Connection, time: float) -> list[int]:
    """Entries older than a time whose words are still there."""
    query = sa.select(audit_said.c.event).join(audit_log, audit_log.c.event == audit_said.c.event)
    return list(c.execute(query.where(audit_log.c.at < time).order_by(audit_said.c.event)).scalars())


def _append(c: sa.Connection, at: float, who: str, action: str, about: str, details: Mapping[str, Any]) -> int:
    if c.dialect.name == "postgresql":
        c.execute(sa.select(sa.func.pg_advisory_xact_lock(WRITING)))
    last = c.execute(sa.select(audit_log.c.hash).order_by(audit_log.c.event.desc()).limit(1)).scalar()
    previous = last or FIRST
    values = {"at": at, "who": who, "action": action, "about": about, "details": details, "previous": previous}
    insert = audit_log.insert().values(**values, hash=_hash(at, who, action, about, details, previous))
    return int(c.execute(insert.returning(audit_log.c.event)).scalar_one())


def _with_words(
    c: sa.Connection, query: sa.Select[Any]
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any] | None]]:
    """Each row of the log, oldest first, with its words where they are sealed and there."""
    rows = query.subquery()
    names = ("salt", "who", "about", "details")
    joined = sa.select(rows, *(audit_said.c[n].label(f"said_{n}") for n in names)).outerjoin(
        audit_said, audit_said.c.event == rows.c.event
    )
    for row in c.execute(joined.order_by(rows.c.event)).mappings():
        said = None if row["said_salt"] is None else {n: row[f"said_{n}"] for n in names}
        yield dict(row), said


def _readable(row: Mapping[str, Any], said: Mapping[str, Any] | None) -> Entry:
    kept = {k: row[k] for k in ("event", "at", "who", "action", "about", "details", "previous", "hash")}
    if said is not None:
        kept |= {"who": said["who"], "about": said["about"], "details": said["details"]}
    elif row["who"] == SEALED:
        kept |= {"who": ERASED, "about": ERASED}
    return Entry(**kept)


def _mentions(details: Mapping[str, Any], name: str) -> bool:
    return any(name in value for value in details.values() if isinstance(value, str))


def _seal(said: Mapping[str, Any]) -> str:
    return _digest([said["salt"], said["who"], said["about"], dict(said["details"])])


def _hash(at: float, who: str, action: str, about: str, details: Mapping[str, Any], previous: str) -> str:
    return _digest([at, who, action, about, dict(details), previous])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
