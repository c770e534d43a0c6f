"""The labels that count now, in the forms that TRL's trainers take: of one dimension, turns as lists of messages.

trl-preference  prompt, chosen, rejected     DPO, reward modelling; a row a voice, ties left out
trl-unpaired    prompt, completion, label    KTO
trl-prompts     prompt                       GRPO, RLOO and others that sample
trl-messages    messages                     SFT, on answers that people liked

Columns that a trainer does not ask for say who judged what how; our importer reads them back (format trl).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from trueline.errors import InputError
from trueline.feedback import tables as t
from trueline.feedback.exporting import rows as r

Row = dict[str, Any]
GOOD, BAD = 4, 2
"""Marks from which on an answer is wanted, and down to which it is not; 3 says neither."""
KINDS = ("trl-preference", "trl-unpaired", "trl-prompts", "trl-messages")


def trl_rows(c: sa.Connection, kind: str, dimension: str = "") -> Iterator[Row]:
    """The rows of one of KINDS. InputError: labels of several dimensions and none named, none of the one that is."""
    if kind == "trl-prompts":
        if dimension:
            raise InputError("--dimension: prompts belong to none; leave it out")
        return _prompts(c)
    rated = _dimensions(c, r.standing(t.rating_events, r.MARK))
    compared = _dimensions(c, r.standing(t.comparison_events, r.PAIR))
    about = _one(compared if kind == "trl-preference" else sorted({*rated, *compared}), dimension)
    if kind == "trl-preference":
        return (row for row in r.preferences(c) if row["dimension"] == about)
    if kind == "trl-unpaired":
        return _marks(c, about) if about in rated else _sides(c, about)
    return _liked_by_marks(c, about) if about in rated else _liked_by_wins(c, about)


def _dimensions(c: sa.Connection, labels: sa.Subquery) -> list[str]:
    return sorted(c.scalars(sa.select(labels.c.dimension).distinct()))


def _one(found: list[str], dimension: str) -> str:
    if dimension and dimension not in found:
        raise InputError(f"--dimension {dimension}: no such labels; there is {', '.join(found) or 'none'}")
    if not dimension and len(found) > 1:
        raise InputError(f"the labels are of several dimensions: {', '.join(found)}; name one with --dimension")
    return dimension or (found[0] if found else "")


def _prompts(c: sa.Connection) -> Iterator[Row]:
    for row in r.stream(c, sa.select(t.prompts).order_by(t.prompts.c.id)):
        asked = r.asked(row)
        yield {"prompt": r.turns(asked), "split": r.split(asked)}


def _marks(c: sa.Connection, dimension: str) -> Iterator[Row]:
    """What people marked; whether they wanted it."""
    for row in r.ratings(c):
        if row["dimension"] == dimension and row["value"] is not None and not BAD < row["value"] < GOOD:
            yield {**row, "label": row["value"] >= GOOD}


def _sides(c: sa.Connection, dimension: str) -> Iterator[Row]:
    """Where nobody marked answers, a comparison's two: wanted the chosen one, unless both were called bad."""
    for row in r.preferences(c):
        if row["dimension"] == dimension:
            shared = {k: row[k] for k in ("prompt", "dimension", "weight", "annotator", "simulated", "split")}
            for side, label in (("chosen", not row["both_bad"]), ("rejected", False)):
                yield {**shared, "completion": row[side], "label": label}


def _liked_by_marks(c: sa.Connection, dimension: str) -> Iterator[Row]:
    """Answers whose mean mark says that they are wanted."""
    for _, group in itertools.groupby(r.marks(c), key=lambda found: found[0]["id"]):
        found = [(row, value) for row, about, value in group if about == dimension and value is not None]
        if found and sum(value for _, value in found) >= GOOD * len(found):
            yield _messages(found[0][0], dimension, all(row["simulated"] for row, _ in found))


def _liked_by_wins(c: sa.Connection, dimension: str) -> Iterator[Row]:
    """Answers that were chosen more often than not."""
    current = r.standing(t.comparison_events, r.PAIR)
    sides = sa.union_all(
        *(
            sa.select(
                current.c[name].label("id"),
                (factor * sa.func.sign(current.c.preference)).label("won"),
                current.c.annotator,
            ).where(current.c.dimension == dimension, ~current.c.both_bad)
            for name, factor in (("a_id", -1), ("b_id", 1))
        )
    ).subquery()
    liked = (
        sa.select(sides.c.id, sa.func.min(sa.cast(t.annotators.c.simulated, sa.Integer)).label("simulated"))
        .join(t.annotators, t.annotators.c.name == sides.c.annotator)
        .group_by(sides.c.id)
        .having(sa.func.sum(sides.c.won) > 0)
        .subquery()
    )
    query = (
        sa.select(t.completions, *t.prompts.c["messages", "meta"], liked.c.simulated)
        .join(liked, liked.c.id == t.completions.c.id)
        .join(t.prompts, t.prompts.c.id == t.completions.c.prompt_id)
        .order_by(t.completions.c.id)
    )
    for row in r.stream(c, query):
        yield _messages({**r.asked(row), "completion": row.text}, dimension, bool(row.simulated))


def _messages(row: Row, dimension: str, simulated: bool) -> Row:
    turns = [*r.turns(row), {"role": "assistant", "content": row["completion"]}]
    return {"messages": turns, "dimension": dimension, "simulated": simulated, "split": r.split(row)}
