"""The right to erasure, in the store: what there is of a person or a text, and taking it out.

Labels are append-only events, and the audit log only grows; erasure is the exception, made once and noted: rows go, the
log's words about the person go, and the log's chain, which has but salted hashes of them, holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from trueline.errors import InputError
from trueline.feedback import account_tables as a
from trueline.feedback import queue_tables as q
from trueline.feedback import tables as t
from trueline.feedback import text_tables as x
from trueline.feedback.accounts import log
from trueline.feedback.jobs import jobs
from trueline.feedback.store import chunks, read_prompt
from trueline.feedback.users import of_user
from trueline.records import Message, Prompt


@dataclass(frozen=True)
class Erasure:
    """What goes. names: people; prompts and answers: ids, with each text in `texts`; said: judgements whose words hold
    what was looked for; jobs: chats; entries: of the log, whose words go; old: entries that cannot go, since they were
    written before words were sealed.
    """

    names: frozenset[str] = frozenset()
    prompts: frozenset[str] = frozenset()
    answers: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    said: frozenset[int] = frozenset()
    jobs: frozenset[int] = frozenset()
    entries: tuple[int, ...] = ()
    old: tuple[int, ...] = ()
    labels: Mapping[str, int] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not (self.prompts or self.answers or self.said or self.jobs or self.entries or any(self.labels.values()))

    def plan(self) -> dict[str, Any]:
        """As the log has it: ids and numbers, nothing that says who or what."""
        ids = sorted(self.prompts | self.answers)
        return {"texts": ids, "entries": list(self.entries), "people": len(self.names), **self.labels}


def of_person(c: sa.Connection, name: str) -> Erasure:
    """Whoever labelled, chatted or has an account under a name: their labels and account, and what they wrote: chats,
    corrections, and, of a user of a served model, the prompts that nobody else has judged.
    """
    chats = list(c.execute(sa.select(jobs).where(jobs.c.asked_by == name)))
    asked = {_asked(r.content).id for r in chats if r.kind == "answer"}
    mine = {
        r.id for r in c.execute(sa.select(t.completions.c.id).where(t.completions.c.source == f"correction:{name}"))
    }
    judged, others = _judged(c, name), _judged(c, name, other=True)
    prompts = {
        r.id
        for part in chunks(sorted(_prompts_of(c, judged)))
        for r in c.execute(sa.select(t.prompts).where(t.prompts.c.id.in_(part)))
        if of_user(read_prompt(r)) and not _answers_of(c, [r.id]) & others
    }
    sealed, old = log.naming(c, name)
    found = Erasure(frozenset([name]), jobs=frozenset(r.id for r in chats), entries=tuple(sealed), old=tuple(old))
    return _whole(c, found, prompts | (asked & _there(c, t.prompts, asked)), mine)


def of_text(c: sa.Connection, text_id: str) -> Erasure:
    """A prompt with its answers, or one answer, by the id that exports and pages show. InputError: no such text."""
    prompts, answers = _there(c, t.prompts, [text_id]), _there(c, t.completions, [text_id])
    if not prompts and not answers:
        raise InputError(f"--text-id {text_id!r}: no prompt or answer of this id is in the store")
    return _whole(c, Erasure(), prompts, answers)


def matching(c: sa.Connection, words: str) -> Erasure:
    """All prompts and answers that hold some words, in any case of their letters, and what was said with them."""
    sought = words.casefold()
    if len(sought.strip()) < 3:
        raise InputError(f"--matching {words!r}: give three characters at least, or too much would go")
    prompts = {
        r.id
        for r in c.execute(sa.select(t.prompts))
        if any(sought in s.casefold() for s in strings([r.messages, r.meta]))
    }
    answers = {
        r.id for r in c.execute(sa.select(t.completions.c.id, t.completions.c.text)) if sought in r.text.casefold()
    }
    spoken = c.execute(sa.select(q.judgements.c.event, q.judgements.c.content))
    said = frozenset(r.event for r in spoken if any(sought in s.casefold() for s in strings(r.content)))
    chats = frozenset(
        r.id for r in c.execute(sa.select(jobs)) if any(sought in s.casefold() for s in strings([r.content, r.result]))
    )
    return _whole(c, Erasure(said=said, jobs=chats), prompts, answers)


def of_prompts(c: sa.Connection, prompts: Collection[str]) -> Erasure:
    """Prompts with all that hangs on them."""
    return _whole(c, Erasure(), set(prompts), set())


def remove(c: sa.Connection, what: Erasure) -> None:
    """Take it out, in the caller's transaction. InputError where nobody could administer any more."""
    gone, names = sorted(what.answers), sorted(what.names)
    for part in chunks(gone):
        _delete(c, t.rating_events, t.rating_events.c.completion_id.in_(part))
        pair = t.comparison_events.c
        _delete(c, t.comparison_events, pair.a_id.in_(part) | pair.b_id.in_(part))
        of_items = sa.select(q.items.c.id).where(q.items.c.a_id.in_(part) | q.items.c.b_id.in_(part))
        items = list(c.execute(of_items).scalars())
        for some in chunks(items):
            _delete(c, q.judgements, q.judgements.c.item_id.in_(some))
            _delete(c, q.assignments, q.assignments.c.item_id.in_(some))
            _delete(c, q.items, q.items.c.id.in_(some))
    for name in names:
        _remove_person(c, name)
    for part in chunks([*what.prompts, *what.answers]):
        _delete(c, x.personal_data, x.personal_data.c.text_id.in_(part))
        traits = x.prompt_traits
        c.execute(traits.update().where(traits.c.resembles.in_(part)).values(resembles=None, alike=None))
        _delete(c, traits, traits.c.prompt_id.in_(part))
        _delete(c, t.completions, t.completions.c.id.in_(part))
    for part in chunks(what.prompts):
        _delete(c, t.prompts, t.prompts.c.id.in_(part))
    for event in what.said:
        row = c.execute(sa.select(q.judgements).where(q.judgements.c.event == event)).first()
        if row is not None:
            content = {**row.content, **{k: "" for k in ("rationale", "reason") if k in row.content}}
            c.execute(q.judgements.update().where(q.judgements.c.event == event).values(content=content))
    for job in what.jobs:
        _delete(c, jobs, jobs.c.id == job)
    log.shred(c, what.entries)


def strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value, the keys of objects too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for k, v in value.items():
            yield k
            yield from strings(v)
    elif isinstance(value, list | tuple):
        for v in value:
            yield from strings(v)


def _remove_person(c: sa.Connection, name: str) -> None:
    for table in (t.rating_events, t.comparison_events):
        _delete(c, table, table.c.annotator == name)
    done = sa.select(q.assignments.c.item_id).where(
        q.assignments.c.annotator == name, q.assignments.c.state == "judged"
    )
    for item in list(c.execute(done.where(q.assignments.c.again == 0)).scalars()):
        fewer = q.items.update().where(q.items.c.id == item, q.items.c.judged > 0)
        c.execute(fewer.values(judged=q.items.c.judged - 1))
    _delete(c, q.judgements, q.judgements.c.annotator == name)
    _delete(c, q.assignments, q.assignments.c.annotator == name)
    c.execute(q.items.update().where(q.items.c.held_for == name).values(held_for=None))
    _delete(c, a.secrets, a.secrets.c.account == name)
    _delete(c, a.secrets, a.secrets.c.label == f"invited by {name}")
    row = c.execute(sa.select(a.accounts).where(a.accounts.c.name == name)).first()
    _delete(c, a.accounts, a.accounts.c.name == name)
    admins = c.execute(sa.select(a.accounts.c.name).where(a.accounts.c.role == "admin", a.accounts.c.active)).first()
    if row is not None and row.role == "admin" and admins is None:
        raise InputError("this would leave nobody who can administer; make another account admin first")
    _delete(c, t.annotators, t.annotators.c.name == name)


def _whole(c: sa.Connection, found: Erasure, prompts: Collection[str], answers: Collection[str]) -> Erasure:
    """With the answers of the prompts, the texts, and how many labels go."""
    every = set(answers) | _answers_of(c, prompts)
    texts: set[str] = set()
    for part in chunks(sorted(prompts)):
        for row in c.execute(sa.select(t.prompts).where(t.prompts.c.id.in_(part))):
            texts |= {m.content for m in read_prompt(row).messages if m.role != "system"}
    for part in chunks(sorted(every)):
        texts |= set(c.execute(sa.select(t.completions.c.text).where(t.completions.c.id.in_(part))).scalars())
    rated, compared = t.rating_events.c, t.comparison_events.c
    labels = {
        "ratings": _count(c, t.rating_events, rated.event, [rated.completion_id], every, rated.annotator, found.names),
        "comparisons": _count(
            c,
            t.comparison_events,
            compared.event,
            [compared.a_id, compared.b_id],
            every,
            compared.annotator,
            found.names,
        ),
    }
    kept = {k: v for k, v in vars(found).items() if k not in ("prompts", "answers", "texts", "labels")}
    texts.discard("")
    return Erasure(**kept, prompts=frozenset(prompts), answers=frozenset(every), texts=frozenset(texts), labels=labels)


def _count(
    c: sa.Connection,
    table: sa.Table,
    event: Any,
    sides: list[Any],
    ids: set[str],
    annotator: Any,
    names: frozenset[str],
) -> int:
    found = set(c.execute(sa.select(event).where(annotator.in_(sorted(names)))).scalars())
    for part in chunks(sorted(ids)):
        found |= set(c.execute(sa.select(event).where(sa.or_(*(s.in_(part) for s in sides)))).scalars())
    return len(found)


def _judged(c: sa.Connection, name: str, *, other: bool = False) -> set[str]:
    """The answers that somebody has judged, or that others have."""
    found: set[str] = set()
    for table, sides in ((t.rating_events, ("completion_id",)), (t.comparison_events, ("a_id", "b_id"))):
        who = table.c.annotator != name if other else table.c.annotator == name
        for side in sides:
            found |= set(c.execute(sa.select(table.c[side]).where(who)).scalars())
    return found


def _prompts_of(c: sa.Connection, answers: Iterable[str]) -> set[str]:
    column = t.completions.c.prompt_id
    return {
        i
        for part in chunks(sorted(answers))
        for i in c.execute(sa.select(column).where(t.completions.c.id.in_(part))).scalars()
    }


def _answers_of(c: sa.Connection, prompts: Collection[str]) -> set[str]:
    column = t.completions.c.id
    return {
        i
        for part in chunks(sorted(prompts))
        for i in c.execute(sa.select(column).where(t.completions.c.prompt_id.in_(part))).scalars()
    }


def _there(c: sa.Connection, table: sa.Table, ids: Iterable[str]) -> set[str]:
    return {
        i
        for part in chunks(sorted(ids))
        for i in c.execute(sa.select(table.c.id).where(table.c.id.in_(part))).scalars()
    }


def _asked(content: Mapping[str, Any]) -> Prompt:
    return Prompt(tuple(Message(m["role"], m["content"]) for m in content["messages"]))


def _delete(c: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> None:
    c.execute(table.delete().where(where))
