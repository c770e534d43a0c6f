"""Where people label: waiting for them, and who of them teaches the reward and who the judge."""

from __future__ import annotations

import time
from collections.abc import Callable

from trueline.feedback.labelling.progress import progress
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.store import FeedbackStore
from trueline.loop.project import Project
from trueline.records import Comparison, Rating

POLL, SAY_EVERY = 1.0, 30.0


def wait_for_people(project: Project, say: Callable[[str], None]) -> None:
    """Until each item in the queue has the judgements that it wants; Ctrl-C stops, and the run can be gone on with."""
    said = -SAY_EVERY
    with FeedbackStore.open(project.store_path) as store:
        while (now := progress(store, "", time.time()))["judged"] < now["wanted"]:
            if time.monotonic() - said > SAY_EVERY:
                said = time.monotonic()
                say(
                    f"  waiting for people: {now['judged']} of {now['wanted']} judgements are there; they are made on "
                    f"the pages of `trueline serve -p {project.folder}`"
                )
            time.sleep(POLL)


def halves(snapshot: FeedbackSnapshot) -> tuple[FeedbackSnapshot, FeedbackSnapshot]:
    """The labels of one half of the people for the reward, and the others' for the judge.

    By name each goes where fewer have labelled what they did, so that both halves know every dimension. Whoever is the
    only one in a dimension is in both.
    """
    of: dict[str, set[str]] = {}
    labels: tuple[Rating | Comparison, ...] = (*snapshot.ratings, *snapshot.comparisons)
    for label in labels:
        of.setdefault(label.annotator.name, set()).add(label.dimension)
    sides: tuple[set[str], set[str]] = (set(), set())
    for name in sorted(of):
        known = [sum(len(of[name] & of[other]) for other in side) for side in sides]
        sides[known[1] < known[0]].add(name)
    for dimension in set().union(*of.values()):
        experts = {name for name in of if dimension in of[name]}
        for side in sides:
            if not experts & side:
                side |= experts
    return snapshot.by_annotators(sides[0]), snapshot.by_annotators(sides[1])
