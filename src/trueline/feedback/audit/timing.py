"""When labels were given: drift of a person's marks, people who are much faster than the others, changes of mind.

The store notes when a label came in, not how long it took. Labels that came in by one import all have its time, which
says nothing of when they were given: these are left out, and the audit says so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import sqlalchemy as sa

from trueline.feedback import tables as t
from trueline.feedback.audit.annotators import LEAST_PROMPTS, LEAST_RATINGS, leniency
from trueline.feedback.audit.findings import Figure, Finding, between, percent
from trueline.feedback.audit.statistics import student_p, student_reach, sums
from trueline.feedback.audit.tables import RatingTable
from trueline.feedback.store import FeedbackStore

PAUSE_SECONDS = 300.0
LARGE_DRIFT, GRAVE_DRIFT = 0.4, 1.0
LEAST_PEOPLE, FAST_DEVIATIONS, FAST_TIMES = 4, 3.5, 2.0
UNREAD_SECONDS = 4.0  # two short answers and a question can hardly be read in less


@dataclass(frozen=True)
class LabelEvent:
    """things: completion ids, one of a rating, two of a comparison; order: in which events came; at: seconds (UTC)."""

    annotator: str
    things: tuple[str, ...]
    dimension: str
    value: int | None
    order: int
    at: float


def label_events(store: FeedbackStore) -> tuple[LabelEvent, ...]:
    """Every rating and comparison event, those that a later one replaced too, in the order in which they came."""
    found = []
    with store.engine.begin() as connection:
        people = {
            r.name: r.name + (" (simulated)" if r.simulated else "")
            for r in connection.execute(sa.select(t.annotators))
        }
        for r in connection.execute(sa.select(t.rating_events).order_by(t.rating_events.c.event)):
            at = _seconds(r.created_at)
            found.append(LabelEvent(people[r.annotator], (r.completion_id,), r.dimension, r.value, r.event, at))
        for r in connection.execute(sa.select(t.comparison_events).order_by(t.comparison_events.c.event)):
            at = _seconds(r.created_at)
            found.append(LabelEvent(people[r.annotator], (r.a_id, r.b_id), r.dimension, r.preference, r.event, at))
    return tuple(found)


def _seconds(at: datetime) -> float:
    """SQLite gives times without a zone, which are UTC."""
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def singly_given(events: Sequence[LabelEvent]) -> tuple[LabelEvent, ...]:
    """Those that came with their own time: no second holds labels of more than two things from one person. Two answers
    that are compared and rated are one thing.
    """
    things: dict[tuple[str, float], set[tuple[str, ...]]] = defaultdict(set)
    for e in events:
        things[e.annotator, e.at].add(e.things)
    few = {who_when for who_when, seen in things.items() if len(set(_items(seen).values())) <= 2}
    return tuple(e for e in events if (e.annotator, e.at) in few)


def _items(things: Iterable[tuple[str, ...]]) -> Mapping[tuple[str, ...], tuple[str, ...]]:
    """By thing, what a person judges as one: the pair that an answer is part of, the first of several; else itself."""
    seen = sorted(things, key=lambda t: (-len(t), t))
    home: dict[str, tuple[str, ...]] = {}
    found = {}
    for thing in seen:
        item = next((home[i] for i in thing if i in home), thing)
        found[thing] = item
        for i in thing:
            home.setdefault(i, item)
    return found


def timing_findings(events: Sequence[LabelEvent], tables: Sequence[RatingTable]) -> list[Finding]:
    given = singly_given(events)
    found = [_untimed(len(events) - len(given), len(events))] if len(given) < len(events) else []
    found += [f for table in tables for f in _drift(table, given)]
    return [*found, *_speed(given), *_changes(events)]


def _untimed(bulk: int, n: int) -> Finding:
    share = bulk / n
    return Finding(
        id="time/imported",
        aspect="time",
        subject="all",
        sentence=f"{bulk:,} of {n:,} labels ({percent(share)}) came in by import, so that the store does not know when "
        "they were given; drift and speed are told only of the others.",
        advice="Nothing to do; to have drift and speed looked at, let people label in Trueline.",
        figure=Figure(share, None, None, n, "share"),
    )


def _drift(table: RatingTable, given: Sequence[LabelEvent]) -> list[Finding]:
    """A trend of each person's residual marks over the order in which they were given, by prompt; a test a person."""
    time = {
        (e.things[0], e.annotator): (e.at, e.order)
        for e in given
        if e.dimension == table.dimension and len(e.things) == 1
    }
    if not time or len(table.people) < 2:
        return []
    keys = [(table.items[i], table.people[p]) for i, p in zip(table.item, table.person, strict=True)]
    timed = np.array([key in time for key in keys])
    residual = leniency(table).residual
    found = []
    for i, name in enumerate(table.people):
        rows = np.flatnonzero((table.person == i) & timed)
        clusters = len(np.unique(table.prompt[rows]))
        if len(rows) < LEAST_RATINGS or clusters < LEAST_PROMPTS:
            continue
        rank = _ranks([time[keys[r]] for r in rows])
        x, y = rank / max(1, len(rows) - 1) - 0.5, residual[rows] - residual[rows].mean()
        slope = float(x @ y / (x @ x))
        scores = sums(x * (y - slope * x), table.prompt[rows])
        error = float(np.sqrt((scores**2).sum() * clusters / max(1, clusters - 2)) / (x @ x))
        reach = student_reach(error, clusters - 1)
        figure = Figure(slope, slope - reach, slope + reach, len(rows), "points", 0.0)
        way = "kinder" if slope > 0 else "stricter"
        found.append(
            Finding(
                id=f"drift/{table.dimension}/{name}",
                aspect="drift",
                subject=f"{name}, {table.dimension}",
                sentence=f"{name} became {way} in {table.dimension} by {abs(slope):.2f} points from the first label to "
                f"the last ({between(figure)}).",
                advice="Show them some early items again; repeat a few reference items from time to time.",
                figure=figure,
                p=student_p(slope, error, clusters - 1),
                large=abs(slope) >= LARGE_DRIFT,
                grave=abs(slope) >= GRAVE_DRIFT,
            )
        )
    return found


def _ranks(times: Sequence[tuple[float, int]]) -> np.ndarray:
    order = sorted(range(len(times)), key=lambda i: times[i])
    found = np.empty(len(times))
    found[order] = np.arange(len(times))
    return found


def _speed(given: Sequence[LabelEvent]) -> list[Finding]:
    """People whose median time from one item to the next is far below the others': more than 3.5 robust deviations
    (Iglewicz and Hoaglin 1993) and twice as fast. Where there are too few others, below 4 seconds. Pauses of more than
    5 minutes do not count.
    """
    medians = {
        name: (float(np.median(gaps)), len(gaps)) for name, gaps in _gaps(given).items() if len(gaps) >= LEAST_RATINGS
    }
    if len(medians) < LEAST_PEOPLE:
        return [
            _fast(name, s, n, "nobody reads so fast", None) for name, (s, n) in medians.items() if s < UNREAD_SECONDS
        ]
    logs = np.log([m for m, _ in medians.values()])
    middle = float(np.median(logs))
    deviation = max(1.4826 * float(np.median(np.abs(logs - middle))), 0.1)
    found = []
    for name, (seconds, n) in medians.items():
        low = (np.log(seconds) - middle) / deviation
        if low < -FAST_DEVIATIONS and seconds * FAST_TIMES < np.exp(middle):
            usual = float(np.exp(middle))
            found.append(_fast(name, seconds, n, f"the others take {usual:.0f} s", usual))
    return found


def _fast(name: str, seconds: float, n: int, beside: str, usual: float | None) -> Finding:
    return Finding(
        id=f"speed/{name}",
        aspect="speed",
        subject=name,
        sentence=f"{name} takes {seconds:.0f} s from one item to the next, in the middle; {beside} (n = {n:,}).",
        advice="Look at their labels: do they read the texts? Compare with their agreement above.",
        severity="warning",
        figure=Figure(seconds, None, None, n, "seconds", usual),
    )


def _gaps(given: Sequence[LabelEvent]) -> Mapping[str, list[float]]:
    """By person: seconds between the last label of an item and the last of the one before."""
    last: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    for e in given:
        last[e.annotator][e.things] = max(e.at, last[e.annotator].get(e.things, 0.0))
    found = {}
    for name, times in last.items():
        items = _items(times)
        ends: dict[tuple[str, ...], float] = defaultdict(float)
        for thing, at in times.items():
            ends[items[thing]] = max(ends[items[thing]], at)
        gaps = np.diff(sorted(ends.values()))
        found[name] = [float(max(g, 0.5)) for g in gaps if g <= PAUSE_SECONDS]
    return found


def _changes(events: Sequence[LabelEvent]) -> list[Finding]:
    """Labels that a person changed later on; the newest counts, the others are kept."""
    values: dict[tuple[str, tuple[str, ...], str], list[int | None]] = defaultdict(list)
    for e in events:
        values[e.annotator, e.things, e.dimension].append(e.value)
    changed = [key for key, given in values.items() if len(set(given)) > 1]
    if not changed:
        return []
    most, times = Counter(name for name, _, _ in changed).most_common(1)[0]
    share = len(changed) / len(values)
    return [
        Finding(
            id="time/changed",
            aspect="time",
            subject="all",
            sentence=f"{len(changed):,} of {len(values):,} labels ({percent(share)}) were changed by who gave them, "
            f"most by {most} ({times:,}); the newest counts.",
            advice="Nothing to do, if they were mended; many changes can mean that the guideline is unclear.",
            figure=Figure(share, None, None, len(values), "share"),
        )
    ]
