"""Where people label: waiting for them, and who of them teaches the reward and who the judge."""

from __future__ import annotations

import time
from collections.abc import Callable

from trueline.feedback.labelling.progress import progress
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.store import FeedbackStore
from trueline.loop.project import Project

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
    """The labels of every other person, by name, for the reward, and the others' for the judge; all of them for both
    where a single person has labelled.
    """
    names = [a.name for a in snapshot.annotators]
    if len(names) < 2:
        return snapshot, snapshot
    return snapshot.by_annotators(set(names[::2])), snapshot.by_annotators(set(names[1::2]))
