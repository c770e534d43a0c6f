"""Texts that come in, looked at in batches: what is new of them, and what is known of it, into the store's tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

from trueline.feedback import tables as t
from trueline.feedback import text_tables as x
from trueline.feedback.screening.language import language_of
from trueline.feedback.screening.near import Neighbours, Resemblance
from trueline.feedback.screening.personal import Found, personal_in
from trueline.feedback.store import CHUNK, FeedbackStore, read_prompt
from trueline.records import Completion, Prompt

Near = Literal["flag", "skip", "off"]
NEAR = ("flag", "skip", "off")
LOADED = 20_000


@dataclass(frozen=True)
class Traits:
    """What is known of a prompt; sketch: where it stands for itself, its bands."""

    language: str
    resembles: Resemblance | None = None
    sketch: bytes | None = None


@dataclass(frozen=True)
class Screen:
    """near: what becomes of prompts that resemble an earlier one, this file's or the store's; personal: whether it
    looks for personal data.
    """

    store: FeedbackStore
    near: Near = "flag"
    personal: bool = True
    neighbours: Neighbours = field(default_factory=Neighbours)

    @classmethod
    def open(cls, store: FeedbackStore, near: Near = "flag", *, personal: bool = True) -> Screen:
        """Knows the store's prompts; those that nobody has looked at are looked at first."""
        screen = cls(store, near, personal)
        if near != "off":
            screen._load()
        screen._look_over()
        return screen

    def look(self, prompts: Mapping[str, Prompt]) -> dict[str, Traits]:
        """At new prompts, by id, before they are stored."""
        placed: Mapping[str, Resemblance | bytes] = {}
        if self.near != "off":
            placed = self.neighbours.place({i: p.text for i, p in prompts.items()}, self._texts)
        return {i: _traits(p, placed.get(i)) for i, p in prompts.items()}

    def keep(
        self, prompts: Mapping[str, Prompt], traits: Mapping[str, Traits], completions: Iterable[Completion]
    ) -> int:
        """Write down what is known of new texts, once they are stored; returns how many hold personal data."""
        rows = [_trait_row(i, traits[i]) for i in prompts]
        texts = [(i, "prompt", turn, m.content) for i, p in prompts.items() for turn, m in enumerate(p.messages)]
        texts += [(c.id, "completion", 0, c.text) for c in completions]
        looked = texts if self.personal else []
        found = [_personal_row(i, about, turn, one) for i, about, turn, text in looked for one in personal_in(text)]
        if rows or found:
            with self.store.transaction() as c:
                _insert(c, x.prompt_traits, rows)
                _insert(c, x.personal_data, found)
        return len({r["text_id"] for r in found})

    def _texts(self, ids: Sequence[str]) -> dict[str, str]:
        with self.store.reading() as c:
            return {
                row.id: read_prompt(row).text
                for part in chunks(ids)
                for row in c.execute(sa.select(t.prompts).where(t.prompts.c.id.in_(part)))
            }

    def _load(self) -> None:
        query = sa.select(x.prompt_traits.c.prompt_id, x.prompt_traits.c.sketch)
        query = query.where(x.prompt_traits.c.sketch.is_not(None)).order_by(x.prompt_traits.c.prompt_id)
        with self.store.reading() as c:
            rows = c.execution_options(yield_per=LOADED).execute(query)
            for part in rows.partitions():
                self.neighbours.load([r.prompt_id for r in part], [r.sketch for r in part])

    def _look_over(self) -> None:
        """At prompts that came otherwise than by import, or by one that left resemblance out; with their answers."""
        traits = x.prompt_traits.c
        done = sa.exists().where(traits.prompt_id == t.prompts.c.id)
        if self.near != "off":
            done = done.where(traits.sketch.is_not(None) | traits.resembles.is_not(None))
        last = ""
        while True:
            query = sa.select(t.prompts).where(~done, t.prompts.c.id > last).order_by(t.prompts.c.id).limit(CHUNK)
            with self.store.reading() as c:
                prompts = {row.id: read_prompt(row) for row in c.execute(query)}
                if not prompts:
                    return
                answers = c.execute(sa.select(t.completions).where(t.completions.c.prompt_id.in_(list(prompts))))
                completions = [Completion(r.prompt_id, r.text, r.source, r.finish) for r in answers]
            last = max(prompts)
            found = self.look(prompts)
            with self.store.transaction() as c:
                c.execute(x.prompt_traits.delete().where(traits.prompt_id.in_(list(prompts))))
            self.keep(prompts, found, completions)


def traits_of(c: sa.Connection, prompt_ids: Sequence[str]) -> dict[str, Traits]:
    """Language and resemblance of those prompts that were looked at."""
    found = {}
    for part in chunks(prompt_ids):
        for row in c.execute(sa.select(x.prompt_traits).where(x.prompt_traits.c.prompt_id.in_(part))):
            alike = None if row.resembles is None else Resemblance(row.resembles, row.alike)
            found[row.prompt_id] = Traits(row.language, alike, row.sketch)
    return found


def personal_of(c: sa.Connection, text_ids: Sequence[str]) -> dict[str, dict[int, tuple[Found, ...]]]:
    """Personal data of prompts and completions: by id and turn (0 for a completion), for `personal.masked`."""
    found: dict[str, dict[int, tuple[Found, ...]]] = {}
    for part in chunks(text_ids):
        query = sa.select(x.personal_data).where(x.personal_data.c.text_id.in_(part))
        for row in c.execute(query.order_by(*x.personal_data.primary_key.columns)):
            turns = found.setdefault(row.text_id, {})
            turns[row.turn] = (*turns.get(row.turn, ()), Found(row.kind, row.start, row.stop))
    return found


def overview(store: FeedbackStore) -> dict[str, Any]:
    """languages: prompts in each; resembling: prompts that resemble another; personal: texts with each kind."""
    traits, personal, n = x.prompt_traits.c, x.personal_data.c, sa.func.count()
    texts = sa.func.count(sa.distinct(personal.text_id))
    with store.reading() as c:
        languages = c.execute(sa.select(traits.language, n).group_by(traits.language).order_by(n.desc()))
        resembling = sa.select(n).select_from(x.prompt_traits).where(traits.resembles.is_not(None))
        return {
            "languages": {row[0]: int(row[1]) for row in languages},
            "resembling": int(c.execute(resembling).scalar_one()),
            "personal": {
                row[0]: int(row[1]) for row in c.execute(sa.select(personal.kind, texts).group_by(personal.kind))
            },
        }


def chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    return (items[i : i + CHUNK] for i in range(0, len(items), CHUNK))


def _traits(prompt: Prompt, placed: Resemblance | bytes | None) -> Traits:
    language = language_of(" ".join(m.content for m in reversed(prompt.messages) if m.role == "user"))
    return Traits(language, placed) if isinstance(placed, Resemblance) else Traits(language, None, placed)


def _trait_row(prompt_id: str, traits: Traits) -> dict[str, Any]:
    other = traits.resembles
    values = (
        {"resembles": None, "alike": None} if other is None else {"resembles": other.prompt_id, "alike": other.alike}
    )
    return {"prompt_id": prompt_id, "language": traits.language, "sketch": traits.sketch, **values}


def _personal_row(text_id: str, about: str, turn: int, found: Found) -> dict[str, Any]:
    return {"text_id": text_id, "about": about, "turn": turn, **vars(found)}


def _insert(c: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Rows that are there stay as they are: another process may have looked at the same text."""
    from sqlalchemy.dialects import postgresql, sqlite

    if rows:
        insert = postgresql.insert if c.dialect.name == "postgresql" else sqlite.insert
        c.execute(insert(table).on_conflict_do_nothing(), rows)
