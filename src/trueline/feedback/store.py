"""The feedback store: prompts, answers and what people say of them, in SQLite (WAL) or any SQLAlchemy URL."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import sqlalchemy as sa
from alembic.util import CommandError
from sqlalchemy.exc import DatabaseError, OperationalError

from trueline.errors import InputError, RunError
from trueline.feedback import tables as t
from trueline.feedback.engine import insert_missing, make_engine, migrate
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import (
    PREFERENCE_VALUES,
    RATING_VALUES,
    Annotator,
    Comparison,
    Completion,
    Exchange,
    Message,
    Prompt,
    Rating,
)

CHUNK = 400
T = TypeVar("T")


@dataclass(frozen=True)
class Added:
    """How many records were new."""

    prompts: int = 0
    completions: int = 0
    ratings: int = 0
    comparisons: int = 0

    def __add__(self, other: Added) -> Added:
        return Added(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


@dataclass(frozen=True)
class FeedbackStore:
    """turn: who writes waits here for other threads, in order; SQLite itself only looks again after a while."""

    engine: sa.Engine
    place: str
    turn: AbstractContextManager[Any] = field(default_factory=nullcontext, repr=False, compare=False)

    @classmethod
    def open(cls, place: Path | str) -> FeedbackStore:
        """Open or make a store and bring its tables up to date; a file path is SQLite, else an SQLAlchemy URL."""
        engine = make_engine(place)
        turn = threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()
        store = cls(engine, engine.url.render_as_string() if "://" in str(place) else str(place), turn)
        with store.transaction() as connection:
            migrate(connection)
        return store

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def add(
        self,
        exchanges: Iterable[Exchange] = (),
        ratings: Sequence[Rating] = (),
        comparisons: Sequence[Comparison] = (),
        prompts: Iterable[Prompt] = (),
    ) -> Added:
        """Add all or, on an error, nothing. What is there already is not added again; a changed label is a new event.

        InputError: a value outside its range, an unknown completion, a comparison across prompts.
        """
        exchanges = list(exchanges)
        for rating in ratings:
            _check_rating(rating)
        turned = [ordered(c) for c in comparisons]
        with self.transaction() as c:
            asked = (*prompts, *(e.prompt for e in exchanges))
            new_prompts = _insert_new(c, t.prompts, [_prompt_row(p) for p in asked])
            rows = [dict(vars(e.completion), id=e.completion.id) for e in exchanges]
            new_completions = _insert_new(c, t.completions, rows)
            people = {*(r.annotator for r in ratings), *(x.annotator for x in turned)}
            _insert_new(c, t.annotators, [vars(a).copy() for a in people], key="name")
            _check_people(c, people)
            _check_known(c, ratings, turned)
            return Added(new_prompts, new_completions, _add_ratings(c, ratings), _add_comparisons(c, turned))

    def prompts(self) -> list[Prompt]:
        with self.reading() as c:
            return [read_prompt(row) for row in c.execute(sa.select(t.prompts).order_by(t.prompts.c.id))]

    def open_prompts(self) -> list[Prompt]:
        """Those that were imported without an answer: what a project's own policy is to answer."""
        answered = sa.select(t.completions.c.prompt_id).where(t.completions.c.source.like("import:%"))
        query = sa.select(t.prompts).where(t.prompts.c.id.not_in(answered)).order_by(t.prompts.c.id)
        with self.reading() as c:
            return [read_prompt(row) for row in c.execute(query)]

    def snapshot(self) -> FeedbackSnapshot:
        """All prompts and answers with the labels that count now."""
        with self.reading() as c:
            people = {r.name: Annotator(r.name, r.simulated) for r in c.execute(sa.select(t.annotators))}
            prompts = [read_prompt(r) for r in c.execute(sa.select(t.prompts).order_by(t.prompts.c.id))]
            completions = [
                Completion(r.prompt_id, r.text, r.source, r.finish)
                for r in c.execute(sa.select(t.completions).order_by(t.completions.c.id))
            ]
            ratings = [
                Rating(r.completion_id, r.dimension, r.value, people[r.annotator])
                for r in c.execute(_current(t.rating_events, ("completion_id", "dimension", "annotator")))
            ]
            comparisons = [
                Comparison(r.a_id, r.b_id, r.dimension, r.preference, people[r.annotator], r.both_bad)
                for r in c.execute(_current(t.comparison_events, ("a_id", "b_id", "dimension", "annotator")))
            ]
        return FeedbackSnapshot(
            {p.id: p for p in prompts}, {x.id: x for x in completions}, tuple(ratings), tuple(comparisons)
        )

    def counts(self) -> dict[str, int]:
        """Rows of each table of texts and labels."""
        with self.reading() as c:
            return {
                name: int(c.execute(sa.select(sa.func.count()).select_from(t.metadata.tables[name])).scalar_one())
                for name in t.TEXTS
            }

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A look that waits for no writer: in SQLite it takes no write lock."""
        with self._named_errors(), self.engine.connect().execution_options(reading=True) as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """One transaction; the database's own complaints come out as one line."""
        with self.turn, self._named_errors(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            raise RunError(f"{self.place}: {error.orig}; nothing was changed, mend this and try again") from error
        except DatabaseError as error:
            raise InputError(f"{self.place}: not a usable feedback store ({error.orig}), nothing changed") from error
        except CommandError as error:
            raise InputError(f"{self.place}: made by a newer Trueline ({error}), nothing changed; upgrade") from error


def _insert_new(c: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]], key: str = "id") -> int:
    """Insert the rows whose key is not there; returns their number."""
    fresh = {row[key]: row for row in rows}
    for part in chunks(list(fresh)):
        for found in c.execute(sa.select(table.c[key]).where(table.c[key].in_(part))).scalars():
            del fresh[found]
    if fresh:
        c.execute(insert_missing(c, table, key), list(fresh.values()))
    return len(fresh)


def chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """So many at a time as one statement takes."""
    left = iter(items)
    while part := list(itertools.islice(left, CHUNK)):
        yield part


def _add_ratings(c: sa.Connection, ratings: Sequence[Rating]) -> int:
    table = t.rating_events
    wanted = {(r.completion_id, r.dimension, r.annotator.name): r.value for r in ratings}
    there = _labels(c, table, ("completion_id", "dimension", "annotator"), ("value",), {k[0] for k in wanted})
    fresh = [
        {"completion_id": k[0], "dimension": k[1], "annotator": k[2], "value": v}
        for k, v in wanted.items()
        if there.get(k, ("none",)) != (v,)
    ]
    if fresh:
        c.execute(table.insert(), fresh)
    return len(fresh)


def _add_comparisons(c: sa.Connection, comparisons: Sequence[Comparison]) -> int:
    table = t.comparison_events
    wanted = {(x.a_id, x.b_id, x.dimension, x.annotator.name): (x.preference, x.both_bad) for x in comparisons}
    key = ("a_id", "b_id", "dimension", "annotator")
    there = _labels(c, table, key, ("preference", "both_bad"), {k[0] for k in wanted})
    fresh = [
        {**dict(zip(key, k, strict=True)), "preference": v[0], "both_bad": v[1]}
        for k, v in wanted.items()
        if there.get(k) != v
    ]
    if fresh:
        c.execute(table.insert(), fresh)
    return len(fresh)


def _labels(
    c: sa.Connection, table: sa.Table, key: tuple[str, ...], values: tuple[str, ...], first: set[str]
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The labels that count now, by key, for the given completions."""
    found = {}
    for part in chunks(sorted(first)):
        for row in c.execute(_current(table, key, table.c[key[0]].in_(part))).mappings():
            found[tuple(row[k] for k in key)] = tuple(row[v] for v in values)
    return found


def _current(table: sa.Table, key: tuple[str, ...], *some: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The newest event of each key, where it does not withdraw the label; of some keys only."""
    newest = sa.select(sa.func.max(table.c.event)).where(*some).group_by(*(table.c[k] for k in key))
    counts = sa.select(table).where(table.c.event.in_(newest), ~table.c.withdrawn)
    return counts.order_by(*(table.c[k] for k in key))


def _check_known(c: sa.Connection, ratings: Sequence[Rating], comparisons: Sequence[Comparison]) -> None:
    ids = {r.completion_id for r in ratings} | {i for x in comparisons for i in (x.a_id, x.b_id)}
    prompt_of: dict[str, str] = {}
    for part in chunks(sorted(ids)):
        query = sa.select(t.completions.c.id, t.completions.c.prompt_id).where(t.completions.c.id.in_(part))
        prompt_of.update({row.id: row.prompt_id for row in c.execute(query)})
    for missing in sorted(ids - set(prompt_of)):
        raise InputError(f"label for completion {missing!r}, which is not in the store; add its exchange too")
    for x in comparisons:
        if prompt_of[x.a_id] != prompt_of[x.b_id]:
            raise InputError(f"comparison of {x.a_id} and {x.b_id}: they answer different prompts")


def _check_people(c: sa.Connection, people: set[Annotator]) -> None:
    """A simulated label must never pass as a person's, or the other way round."""
    known: dict[str, bool] = {}
    for part in chunks([a.name for a in people]):
        query = sa.select(t.annotators).where(t.annotators.c.name.in_(part))
        known.update({row.name: row.simulated for row in c.execute(query)})
    for a in sorted(people, key=lambda a: a.name):
        if known[a.name] != a.simulated:
            one, other = ("simulated", "a person") if known[a.name] else ("a person", "simulated")
            raise InputError(f"annotator {a.name!r} is {one} in this store, not {other}; use another name")


def _check_rating(rating: Rating) -> None:
    if rating.value is not None and rating.value not in RATING_VALUES:
        where = f"completion {rating.completion_id}"
        raise InputError(f"{rating.dimension} is {rating.value}, must be 1 to 5 or empty ({where})")


def ordered(comparison: Comparison) -> Comparison:
    """The same judgement with the smaller id as A, so that (a, b) and (b, a) are one label."""
    if comparison.preference not in PREFERENCE_VALUES:
        raise InputError(f"preference is {comparison.preference}, must be -3 to 3 (completion {comparison.a_id})")
    if comparison.a_id == comparison.b_id:
        raise InputError(f"comparison of {comparison.a_id} with itself; the two answers are the same text")
    if comparison.a_id < comparison.b_id:
        return comparison
    return Comparison(
        comparison.b_id,
        comparison.a_id,
        comparison.dimension,
        -comparison.preference,
        comparison.annotator,
        comparison.both_bad,
    )


def _prompt_row(prompt: Prompt) -> dict[str, Any]:
    return {"id": prompt.id, "messages": [[m.role, m.content] for m in prompt.messages], "meta": dict(prompt.meta)}


def read_prompt(row: Any) -> Prompt:
    """A prompt of its table's row."""
    return Prompt(tuple(Message(role, content) for role, content in row.messages), row.meta)
