"""What the store's times tell: drift, speed, changes of mind; and that the times of imports tell nothing."""

from __future__ import annotations

import numpy as np
import pytest

from trueline.feedback.audit.audit import audit
from trueline.feedback.audit.timing import LabelEvent, label_events, singly_given
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Completion, Prompt, Rating

NAMES = ["Anna", "Ben", "Chen", "Dora", "Emil"]


def labelled(rng, drift=0.0, seconds=None, n=150):
    """A snapshot and its events: five people rate answers one after the other, each at a pace of their own."""
    seconds = seconds or [30.0] * len(NAMES)
    prompts = [Prompt.from_user(f"q{i}") for i in range(n)]
    answers = [Completion(p.id, f"answer to {p.id}") for p in prompts]
    ratings, events = [], []
    for k, name in enumerate(NAMES):
        clock, rows = 0.0, rng.permutation(n)
        for t, i in enumerate(rows):
            clock += seconds[k] * rng.uniform(0.5, 1.5)
            trend = drift * (t / (n - 1) - 0.5) if k == 0 else 0.0
            mark = int(np.clip(round(3 + 0.7 * np.sin(i) + trend + rng.normal(0, 0.6)), 1, 5))
            ratings.append(Rating(answers[i].id, "quality", mark, Annotator(name)))
            events.append(LabelEvent(name, (answers[i].id,), "quality", mark, len(events), clock))
    snapshot = FeedbackSnapshot({p.id: p for p in prompts}, {a.id: a for a in answers}, tuple(ratings), ())
    return snapshot, events


def by_id(snapshot, events):
    return {f.id: f for f in audit(snapshot, events, resamples=100).findings}


def test_drift_is_found_with_its_size_and_only_in_who_drifts():
    snapshot, events = labelled(np.random.default_rng(0), drift=1.2)
    found = by_id(snapshot, events)
    assert found["drift/quality/Anna"].severity == "serious"
    assert found["drift/quality/Anna"].figure.low < 1.2 < found["drift/quality/Anna"].figure.high
    assert {found[f"drift/quality/{name}"].severity for name in NAMES[1:]} == {"ok"}


def test_without_times_there_is_no_drift_and_labels_of_one_moment_have_none():
    snapshot, events = labelled(np.random.default_rng(1), drift=1.2)
    assert not [i for i in by_id(snapshot, ()) if i.startswith("drift")]
    imported = [LabelEvent(e.annotator, e.things, e.dimension, e.value, e.order, 5.0) for e in events]
    assert singly_given(imported) == ()
    found = by_id(snapshot, imported)
    assert not [i for i in found if i.startswith(("drift", "speed"))]
    assert "750 of 750" in found["time/imported"].sentence


def test_who_is_far_faster_than_the_others_is_named():
    snapshot, events = labelled(np.random.default_rng(2), seconds=[30, 25, 3, 40, 28])
    found = by_id(snapshot, events)
    assert [i for i in found if i.startswith("speed")] == ["speed/Chen"]
    assert found["speed/Chen"].figure.value == pytest.approx(3, abs=0.5)
    snapshot, events = labelled(np.random.default_rng(3), seconds=[30, 25, 20, 40, 28])
    assert not [i for i in by_id(snapshot, events) if i.startswith("speed")]


def test_the_store_gives_every_event_and_changes_of_mind_are_counted(store, exchanges):
    person = Annotator("Anna", simulated=True)
    ids = [e.completion.id for e in exchanges]
    store.add(exchanges, [Rating(i, "quality", 4, person) for i in ids])
    store.add((), [Rating(ids[0], "quality", 1, person)])
    events = label_events(store)
    assert [e.value for e in events if e.things == (ids[0],)] == [4, 1] and len(events) == 7
    assert {e.annotator for e in events} == {"Anna (simulated)"}
    assert "1 of 6 labels" in by_id(store.snapshot(), events)["time/changed"].sentence


def paired(name, n, seconds):
    """n pairs, each compared and its answers rated in one moment, as on the labelling page."""
    found = []
    for i in range(n):
        a, b = f"{name}{i}a", f"{name}{i}b"
        things = [("quality", (a,)), ("quality", (b,)), ("overall", (a, b))]
        found += [LabelEvent(name, t, d, 2, len(found), i * seconds) for d, t in things]
    return found


def test_two_answers_that_are_compared_and_rated_are_one_thing():
    events = [e for name, s in zip(NAMES, (30.0, 25.0, 3.0, 40.0, 28.0), strict=True) for e in paired(name, 40, s)]
    assert singly_given(events) == tuple(events)
    snapshot, _ = labelled(np.random.default_rng(4), n=5)
    found = by_id(snapshot, events)
    assert "time/imported" not in found
    assert [i for i in found if i.startswith("speed")] == ["speed/Chen"]
    assert found["speed/Chen"].figure.value == pytest.approx(3)


def test_where_there_are_too_few_others_only_who_cannot_have_read_is_fast():
    snapshot, _ = labelled(np.random.default_rng(5), n=5)
    found = by_id(snapshot, [*paired("user:mallory", 40, 2.0), *paired("Anna", 40, 9.0)])
    assert [i for i in found if i.startswith("speed")] == ["speed/user:mallory"]
