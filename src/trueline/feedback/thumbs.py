"""What a user says of a served model's answers, as labels: thumbs, and what the answer should have been.

A thumb says good or bad, and not how much: 4 or 2 of 5. Of two answers side by side the one that did better is
preferred: clearly where one thumb is up and the other down, slightly where there is one thumb; two thumbs down are two
bad answers. A correction is an answer of its own, preferred to what the model said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import sqlalchemy as sa

from trueline.errors import InputError
from trueline.feedback import tables as t
from trueline.feedback.formats.marks import STRENGTH
from trueline.feedback.screening.personal import masked, personal_in
from trueline.feedback.store import Added, FeedbackStore, ordered
from trueline.feedback.users import ASKED
from trueline.records import Annotator, Comparison, Exchange, Message, Prompt, Rating

MARKS = {1: 4, -1: 2}  # of a thumb up, and of one down
SERVED, CORRECTION = "served:", "correction:"


@dataclass(frozen=True)
class Said:
    """A served answer, with a thumb up (1), down (-1) or none (0); correction: what it should have been, "" for none.

    The answer's source names the model that gave it.
    """

    exchange: Exchange
    thumb: int = 0
    correction: str = ""


def keep(store: FeedbackStore, who: Annotator, dimension: str, said: Sequence[Said]) -> Added:
    """Write down all that a user says of one or two answers to a prompt; what they said before of these and no longer
    say is withdrawn. Personal data that is known by its form is taken out of every text.

    InputError: the answers are to different prompts, a correction says what the answer says.
    """
    said = [replace(s, exchange=without_personal(s.exchange), correction=_without(s.correction)) for s in said]
    ratings = [Rating(s.exchange.completion.id, dimension, MARKS[s.thumb], who) for s in said if s.thumb]
    comparisons = [_compared(a, b, dimension, who) for a, b in combinations(said, 2) if _tells(a, b)]
    exchanges = [s.exchange for s in said]
    for s in said:
        if s.correction:
            better = Exchange.of(s.exchange.prompt, s.correction, CORRECTION + who.name)
            if better.completion.id == s.exchange.completion.id:
                raise InputError("the correction is what the answer says already; change it, or leave it out")
            exchanges.append(better)
            comparisons.append(
                Comparison(s.exchange.completion.id, better.completion.id, dimension, STRENGTH, who)
            )  # fmt: skip
    added = store.add(exchanges, ratings, comparisons) if ratings or comparisons else Added()
    _withdraw(store, who, dimension, said)
    return added


def without_personal(exchange: Exchange) -> Exchange:
    """The same with each email address, number of a card and the like replaced by its kind in brackets."""
    prompt = Prompt(tuple(Message(m.role, _without(m.content)) for m in exchange.prompt.messages), ASKED)
    c = exchange.completion
    return Exchange.of(prompt, _without(c.text), c.source, c.finish)


def _without(text: str) -> str:
    return masked(text.strip(), personal_in(text.strip()))


def _tells(a: Said, b: Said) -> bool:
    return bool(a.thumb or b.thumb) and a.exchange.completion.id != b.exchange.completion.id


def _compared(a: Said, b: Said, dimension: str, who: Annotator) -> Comparison:
    bad = a.thumb == b.thumb == -1
    return Comparison(a.exchange.completion.id, b.exchange.completion.id, dimension, b.thumb - a.thumb, who, bad)


def _withdraw(store: FeedbackStore, who: Annotator, dimension: str, said: Sequence[Said]) -> None:
    by = {"dimension": dimension, "annotator": who.name}
    rated, compared = t.rating_events, t.comparison_events
    gone = [(rated, {"completion_id": s.exchange.completion.id, **by}) for s in said if not s.thumb]
    for a, b in combinations(said, 2):
        if not (a.thumb or b.thumb) and a.exchange.completion.id != b.exchange.completion.id:
            pair = ordered(_compared(a, b, dimension, who))
            gone.append((compared, {"a_id": pair.a_id, "b_id": pair.b_id, **by}))
    if not gone:
        return
    with store.transaction() as c:
        for table, key in gone:
            mine = [table.c[name] == value for name, value in key.items()]
            last = c.execute(sa.select(table).where(*mine).order_by(table.c.event.desc()).limit(1)).mappings().first()
            if last is not None and not last["withdrawn"]:
                value = {n: v for n, v in last.items() if n not in ("event", "created_at")}
                c.execute(table.insert().values(**value | {"withdrawn": True}))
