"""The store's content as rows, read with bounded memory in one consistent look."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from trueline.feedback import queue_tables as q
from trueline.feedback import tables as t
from trueline.feedback.store import FeedbackStore
from trueline.records import Message, Prompt, split_of

AT_ONCE = 2_000
MARK, PAIR = ("completion_id", "dimension", "annotator"), ("a_id", "b_id", "dimension", "annotator")
"""What a label is about: a newer one of the same takes the place of an older."""
Row = dict[str, Any]


@contextmanager
def look(store: FeedbackStore) -> Iterator[sa.Connection]:
    """A connection that sees the store as it was at its first query, whoever writes meanwhile."""
    with store.reading() as c:
        if c.dialect.name == "postgresql":
            c.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield c


def judgements(c: sa.Connection) -> Iterator[Row]:
    """Every event in its order, as it was said: left and right are the sides that this person saw.

    kind: judge, undo, skip or flag. A judgement that was undone is followed by its undo.
    """
    a, b = t.completions.alias(), t.completions.alias()
    query = (
        sa.select(
            *q.judgements.c["event", "kind", "annotator", "item_id", "assignment_id", "content", "created_at"],
            *q.assignments.c["again", "flipped"],
            q.items.c.gold.is_not(None).label("gold"),
            t.annotators.c.simulated,
            t.prompts.c.id.label("prompt_id"),
            t.prompts.c.messages,
            a.c.id.label("a_id"),
            a.c.text.label("a"),
            b.c.id.label("b_id"),
            b.c.text.label("b"),
        )
        .join(q.assignments, q.assignments.c.id == q.judgements.c.assignment_id)
        .join(q.items, q.items.c.id == q.judgements.c.item_id)
        .join(t.annotators, t.annotators.c.name == q.judgements.c.annotator)
        .join(t.prompts, t.prompts.c.id == q.items.c.prompt_id)
        .join(a, a.c.id == q.items.c.a_id)
        .outerjoin(b, b.c.id == q.items.c.b_id)
        .order_by(q.judgements.c.event)
    )
    for row in stream(c, query):
        sides = [(row.a_id, row.a), (row.b_id, row.b)]
        (left_id, left), (right_id, right) = sides[::-1] if row.flipped and row.b_id is not None else sides
        said = row.content
        marks = [*said.get("marks", ()), {}, {}]
        yield {
            "event": row.event,
            "kind": row.kind,
            "time": datetime.fromtimestamp(row.created_at, UTC).isoformat(timespec="milliseconds"),
            "annotator": row.annotator,
            "simulated": row.simulated,
            "item": row.item_id,
            "assignment": row.assignment_id,
            "again": bool(row.again),
            "gold": bool(row.gold),
            "prompt_id": row.prompt_id,
            "messages": _messages(row.messages),
            "left_id": left_id,
            "right_id": right_id,
            "left": left,
            "right": right,
            "preference": said.get("preference"),
            "both_bad": said.get("both_bad"),
            "left_marks": marks[0],
            "right_marks": marks[1],
            "reasons": said.get("reasons", []),
            "rationale": said.get("rationale", ""),
            "reason": said.get("reason", ""),
            "seconds": said.get("seconds"),
            "guidelines": said.get("guidelines", ""),
            "more": {k: v for k, v in said.items() if k not in _SAID},
        }


_SAID = frozenset("shown preference both_bad marks reasons rationale reason seconds guidelines".split())
JUDGEMENT_COLUMNS = (
    "event", "kind", "time", "annotator", "simulated", "item", "assignment", "again", "gold", "prompt_id", "left_id",
    "right_id", "preference", "both_bad", "reasons", "rationale", "reason", "seconds", "guidelines",
)  # fmt: skip


def flat(row: Row) -> Row:
    """A judgement as cells: a mark a column, such as left_quality; the prompt as text."""
    marks = {f"{side}_{name}": v for side in ("left", "right") for name, v in row[f"{side}_marks"].items()}
    prompt = "\n".join(f"{m['role']}: {m['content']}" for m in row["messages"])
    return {**row, **marks, "reasons": "; ".join(row["reasons"]), "prompt": prompt}


def marked(c: sa.Connection) -> list[str]:
    """The dimensions that any judgement has marks for."""
    query = sa.select(q.judgements.c.content).where(q.judgements.c.kind == "judge")
    return sorted({name for row in stream(c, query) for marks in row.content["marks"] for name in marks})


def comparisons(c: sa.Connection) -> Iterator[Row]:
    """The preferences that count now, each with its texts."""
    a, b = t.completions.alias(), t.completions.alias()
    current = standing(t.comparison_events, PAIR)
    query = (
        sa.select(
            current,
            *(
                s.c[name].label(f"{side}_{name}")
                for side, s in (("a", a), ("b", b))
                for name in ("text", "source", "finish")
            ),
            *t.prompts.c["messages", "meta"],
            t.annotators.c.simulated,
        )
        .join(a, a.c.id == current.c.a_id)
        .join(b, b.c.id == current.c.b_id)
        .join(t.prompts, t.prompts.c.id == a.c.prompt_id)
        .join(t.annotators, t.annotators.c.name == current.c.annotator)
        .order_by(current.c.event)
    )
    for row in stream(c, query):
        yield {
            **asked(row),
            "a": row.a_text,
            "b": row.b_text,
            "preference": row.preference,
            "both_bad": bool(row.both_bad),
            "dimension": row.dimension,
            **_who(row),
            **{f"{side}_{n}": getattr(row, f"{side}_{n}") for side in ("a", "b") for n in ("source", "finish")},
        }


def preferences(c: sa.Connection, weights: Mapping[str, float] | None = None) -> Iterator[Row]:
    """Chosen and rejected, as TRL's conversational sets; strength: 1 (slightly) to 3 (much better). Without ties."""
    for row in comparisons(c):
        if row["preference"]:
            chosen, rejected = ("a", "b") if row["preference"] < 0 else ("b", "a")
            yield {
                "prompt": turns(row),
                "chosen": [{"role": "assistant", "content": row[chosen]}],
                "rejected": [{"role": "assistant", "content": row[rejected]}],
                "strength": abs(row["preference"]),
                "weight": float((weights or {}).get(row["annotator"], 1.0)),
                "both_bad": row["both_bad"],
                "dimension": row["dimension"],
                "annotator": row["annotator"],
                "simulated": row["simulated"],
                "split": split(row),
            }


def ratings(c: sa.Connection, weights: Mapping[str, float] | None = None) -> Iterator[Row]:
    """The marks that count now, each with its texts; value: 1 to 5, or null for not applicable."""
    for row, dimension, value in marks(c):
        yield {
            "prompt": turns(row),
            "completion": [{"role": "assistant", "content": row["completion"]}],
            "dimension": dimension,
            "value": value,
            "weight": float((weights or {}).get(row["annotator"], 1.0)),
            "annotator": row["annotator"],
            "simulated": row["simulated"],
            "split": split(row),
        }


def own(c: sa.Connection) -> Iterator[Row]:
    """Everything that counts now, as our own JSON lines: imported elsewhere, it is the same snapshot."""
    unanswered = ~sa.exists().where(t.completions.c.prompt_id == t.prompts.c.id)
    for row in stream(c, sa.select(t.prompts).where(unanswered).order_by(t.prompts.c.id)):
        yield asked(row)
    bare = ~sa.exists().where(t.rating_events.c.completion_id == t.completions.c.id)
    bare &= ~sa.exists().where(sa.or_(*(t.comparison_events.c[s] == t.completions.c.id for s in ("a_id", "b_id"))))
    query = sa.select(t.completions, *t.prompts.c["messages", "meta"]).join(t.prompts).where(bare)
    for row in stream(c, query.order_by(t.completions.c.id)):
        yield {**asked(row), **_answer(row)}
    yield from _rated(c)
    yield from comparisons(c)


def _rated(c: sa.Connection) -> Iterator[Row]:
    """A row for each person's marks of an answer."""
    for _, group in itertools.groupby(marks(c), key=lambda found: (found[0]["id"], found[0]["annotator"])):
        found = list(group)
        yield {k: v for k, v in found[0][0].items() if k != "id"} | {"ratings": {d: value for _, d, value in found}}


def marks(c: sa.Connection) -> Iterator[tuple[Row, str, int | None]]:
    """Each mark that counts now: the answer with who marked it, the dimension, the value; by answer."""
    current = standing(t.rating_events, MARK)
    query = (
        sa.select(current, t.completions, *t.prompts.c["messages", "meta"], t.annotators.c.simulated)
        .join(t.completions, t.completions.c.id == current.c.completion_id)
        .join(t.prompts, t.prompts.c.id == t.completions.c.prompt_id)
        .join(t.annotators, t.annotators.c.name == current.c.annotator)
        .order_by(current.c.completion_id, current.c.annotator, current.c.dimension)
    )
    for row in stream(c, query):
        yield {"id": row.completion_id, **asked(row), **_answer(row), **_who(row)}, row.dimension, row.value


def standing(table: sa.Table, key: tuple[str, ...]) -> sa.Subquery:
    """The newest event of each key, where it does not withdraw the label."""
    newest = sa.select(sa.func.max(table.c.event)).group_by(*(table.c[k] for k in key))
    return sa.select(table).where(table.c.event.in_(newest), ~table.c.withdrawn).subquery()


def stream(c: sa.Connection, query: sa.Select[Any]) -> Iterator[Any]:
    for part in c.execute(query, execution_options={"yield_per": AT_ONCE}).partitions():
        yield from part


def _messages(stored: Any) -> list[Row]:
    return [{"role": role, "content": content} for role, content in stored]


def asked(row: Any) -> Row:
    """The prompt as text where it is one question, else as turns."""
    messages = _messages(row.messages)
    one = len(messages) == 1 and messages[0]["role"] == "user"
    asked: Row = {"prompt": messages[0]["content"]} if one else {"messages": messages}
    return {**asked, "prompt_meta": row.meta} if row.meta else asked


def _answer(row: Any) -> Row:
    return {"completion": row.text, "completion_source": row.source, "completion_finish": row.finish}


def _who(row: Any) -> Row:
    return {"annotator": row.annotator, "simulated": bool(row.simulated)}


def turns(row: Row) -> list[Row]:
    """The prompt as messages."""
    return row["messages"] if "messages" in row else [{"role": "user", "content": row["prompt"]}]


def split(row: Row) -> str:
    messages = tuple(Message(m["role"], m["content"]) for m in turns(row))
    return split_of(Prompt(messages, row.get("prompt_meta", {})))
