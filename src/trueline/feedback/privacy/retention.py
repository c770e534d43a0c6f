"""What is older than a project keeps it: what users of served models wrote, chats, ended sign-ins, the log's words."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import sqlalchemy as sa

from trueline.feedback import account_tables as a
from trueline.feedback import tables as t
from trueline.feedback.accounts import log
from trueline.feedback.jobs import jobs
from trueline.feedback.privacy.erasure import Erasure, of_prompts
from trueline.feedback.store import read_prompt
from trueline.feedback.users import of_user


@dataclass(frozen=True)
class Expired:
    """What goes: as an erasure, and hashes of secrets that ended: sessions, tokens, invitations, links."""

    erasure: Erasure
    secrets: frozenset[str]


def expired(c: sa.Connection, before: float) -> Expired:
    """before: seconds since 1970. A prompt is as old as the newest label of its answers; one that nobody labelled has
    no age, and stays.
    """
    ages = _ages(c)
    users = {r.id for r in c.execute(sa.select(t.prompts)) if of_user(read_prompt(r))}
    found = of_prompts(c, {i for i in users if i in ages and ages[i] < before})
    ended = jobs.c.state.in_(("done", "failed")) & (jobs.c.created_at < before)
    chats = frozenset(c.execute(sa.select(jobs.c.id).where(ended)).scalars())
    s = a.secrets.c
    over = (s.expires_at < before) | (s.used_at < before)
    secrets = frozenset(c.execute(sa.select(s.hash).where(over)).scalars())
    return Expired(replace(found, jobs=chats, entries=tuple(log.sealed_before(c, before))), secrets)


def end_secrets(c: sa.Connection, hashes: frozenset[str]) -> None:
    for one in hashes:
        c.execute(a.secrets.delete().where(a.secrets.c.hash == one))


def _ages(c: sa.Connection) -> dict[str, float]:
    """By prompt, when its newest label came, seconds since 1970."""
    newest: dict[str, float] = defaultdict(float)
    for table, side in ((t.rating_events, "completion_id"), (t.comparison_events, "a_id")):
        query = sa.select(t.completions.c.prompt_id, sa.func.max(table.c.created_at))
        joined = query.join(t.completions, t.completions.c.id == table.c[side]).group_by(t.completions.c.prompt_id)
        for prompt, at in c.execute(joined):
            newest[prompt] = max(newest[prompt], _seconds(at))
    return newest


def _seconds(at: datetime) -> float:
    """SQLite gives times of UTC without saying so."""
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
