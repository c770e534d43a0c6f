"""Whether a project is what its audit log says: the chain, each artefact's files, what they came from, and the labels.

What nobody recorded, as in a project that is older than the record, is told apart from what was changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from trueline import durable
from trueline.errors import InputError
from trueline.feedback import tables as t
from trueline.feedback.accounts import log
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.store import FeedbackStore, chunks
from trueline.loop.project import Project
from trueline.loop.provenance import HEAD, HEAD_FILE, Recorded, digest, digest_of, newest, recorded
from trueline.whole_model import card_faults

ARTEFACTS = (
    "rewards/*/model.json", "runs/*/policy", "runs/*/report", "runs/*/promoted.json", "runs/*/round-*/snapshot.jsonl",
    "runs/*/round-*/reward", "runs/*/round-*/judge", "runs/*/round-*/align/policy", "runs/*/round-*/report",
)  # fmt: skip


@dataclass(frozen=True)
class Verified:
    """faults: what is not as it was recorded; notes: what is no fault but must be known. A line each."""

    faults: tuple[str, ...]
    notes: tuple[str, ...]
    artefacts: int
    head: log.Head


def verify(project: Project, noted: str = "") -> Verified:
    """noted: a head of the chain that was written down elsewhere, from which on nothing may have been rewritten.

    InputError: the project has no store.
    """
    place = project.store_path
    if isinstance(place, Path) and not place.exists():
        raise InputError(f"{place}: no store, so there is no audit log to hold the project against")
    with FeedbackStore.open(place) as store:
        with store.reading() as c:
            entries = recorded(c)
            erased = {i for e in log.plain_entries(c, *log.ERASES) for i in e.details.get("texts", ())}
        known = newest(entries)
        faults = [*log.faults(store), *_heads(store, project, noted)]
        notes: list[str] = []
        for one in known.values():
            found, told = _artefact(project, one)
            faults += found
            notes += told
            faults += _lineage(project, one, entries)
        for path in _snapshots(project):
            found, told = _labels(store, project, path, erased)
            faults += found
            notes += told
        faults += [f for one in _policies(project) for f in card_faults(one)]
        notes += [
            f"{path}: not recorded, so that nobody can say whether it was changed" for path in _missed(project, known)
        ]
        return Verified(tuple(faults), tuple(notes), len(known), log.head(store))


def _heads(store: FeedbackStore, project: Project, noted: str) -> Iterator[str]:
    """Heads that were noted and are not in the chain any more: it was rewritten since."""
    if noted and not log.has(store, noted):
        yield f"the head {noted[:16]} is not in the chain: the log was rewritten since it was noted, or is another's"
    for path in sorted((project.folder / "runs").rglob(HEAD_FILE)):
        yield from _head_in(store, project, path, _json(path).get("hash"))
    for path in sorted((project.folder / "runs").rglob("report.json")):
        lineage = _json(path).get("lineage")
        line = lineage.get(HEAD) if isinstance(lineage, Mapping) else None
        yield from _head_in(store, project, path, line.split()[0] if isinstance(line, str) and line else None)


def _head_in(store: FeedbackStore, project: Project, path: Path, head: object) -> Iterator[str]:
    if isinstance(head, str) and not log.has(store, head):
        yield f"{_shown(project, path)}: notes a head of the log that is not in the chain: the log was rewritten since"


def _artefact(project: Project, one: Recorded) -> tuple[list[str], list[str]]:
    """Faults and notes of its files."""
    path, by = project.folder / one.path, f"by entry {one.entry}"
    outside = one.path.startswith("..")
    if not path.exists():
        line = f"{one.path}: recorded {by} ({one.kind}), and is not there"
        return ([], [line]) if outside or one.kind == "export" else ([line], [])
    sha256, files = digest(path)
    if sha256 == one.sha256:
        return [], [f"{one.path}: redacted by entry {one.redacted}"] if one.redacted else []
    if digest_of(one.files) != one.sha256:
        return [f"{one.path}: entry {one.entry} lists other files than its own hash says"], []
    lines = [
        f"{one.path}{'/' if name else ''}{name}: {what} ({by})"
        for what, names in (
            ("was changed after it was recorded", [n for n in one.files if n in files and files[n] != one.files[n]]),
            ("is missing", [n for n in one.files if n not in files]),
            ("was put in after the rest was recorded", [n for n in files if n not in one.files]),
        )
        for name in names
    ]
    return ([], lines) if outside else (lines, [])


def _lineage(project: Project, one: Recorded, entries: Sequence[Recorded]) -> Iterator[str]:
    """Parents that are not what they were recorded to be. One that was made anew since is found in its own entries."""
    for role, parent in one.parents.items():
        if not parent.inside or not parent.sha256:
            continue
        of_it = [e for e in entries if e.path == parent.path]
        if any(e.sha256 == parent.sha256 for e in of_it):
            continue
        place = project.folder / parent.path
        if of_it:
            yield f"{one.path}: its {role} {parent.path} is none of those that were recorded (entry {one.entry})"
        elif not place.exists():
            yield f"{one.path}: its {role} {parent.path} is not there, and was never recorded"
        elif digest(place)[0] != parent.sha256:
            yield f"{one.path}: its {role} {parent.path} was changed since (entry {one.entry})"


def _labels(store: FeedbackStore, project: Project, path: Path, erased: set[str]) -> tuple[list[str], list[str]]:
    """A snapshot's texts and labels against the store's events, of which none may be gone unless it was erased."""
    shown = _shown(project, path)
    try:
        snapshot = FeedbackSnapshot.load(path)
    except InputError as error:
        return [str(error)], []
    faults = []
    with store.reading() as c:
        for what, table, ids in (
            ("prompts", t.prompts, snapshot.prompts),
            ("answers", t.completions, snapshot.completions),
        ):
            gone = sorted(set(ids) - _stored(c, table, ids))
            faults += _gone(shown, what, [i for i in gone if i not in erased])
            if back := [i for i in gone if i in erased]:
                faults.append(f"{shown}: holds {len(back)} {what} that were erased; erase them again")
        rated, compared = _ratings(c, snapshot), _comparisons(c, snapshot)
    ratings = [(r.completion_id, r.dimension, r.annotator.name, r.value) for r in snapshot.ratings]
    pairs = [(x.a_id, x.b_id, x.dimension, x.annotator.name, x.preference, x.both_bad) for x in snapshot.comparisons]
    faults += _gone(shown, "ratings", [k for k in ratings if k not in rated])
    faults += _gone(shown, "comparisons", [k for k in pairs if k not in compared])
    return faults, []


def _gone(shown: str, what: str, which: Sequence[Any]) -> list[str]:
    if not which:
        return []
    first = which[0] if isinstance(which[0], str) else " ".join(str(p) for p in which[0])
    return [f"{shown}: {len(which)} of its {what} are not in the store, and no entry says why (the first: {first})"]


def _stored(c: sa.Connection, table: sa.Table, ids: Iterable[str]) -> set[str]:
    return {i for part in chunks(ids) for i in c.execute(sa.select(table.c.id).where(table.c.id.in_(part))).scalars()}


def _ratings(c: sa.Connection, snapshot: FeedbackSnapshot) -> set[tuple[Any, ...]]:
    """Every event about the snapshot's rated answers, also those that were said otherwise later."""
    e = t.rating_events.c
    ids = sorted({r.completion_id for r in snapshot.ratings})
    query = sa.select(e.completion_id, e.dimension, e.annotator, e.value)
    return {tuple(row) for part in chunks(ids) for row in c.execute(query.where(e.completion_id.in_(part)))}


def _comparisons(c: sa.Connection, snapshot: FeedbackSnapshot) -> set[tuple[Any, ...]]:
    e = t.comparison_events.c
    ids = sorted({x.a_id for x in snapshot.comparisons})
    query = sa.select(e.a_id, e.b_id, e.dimension, e.annotator, e.preference, e.both_bad)
    return {tuple(row) for part in chunks(ids) for row in c.execute(query.where(e.a_id.in_(part)))}


def _snapshots(project: Project) -> list[Path]:
    runs = (project.folder / "runs").glob("*/round-*/snapshot.jsonl")
    return sorted([*runs, *(project.folder / "rewards").glob("*.snapshot.jsonl")])


def _policies(project: Project) -> list[Path]:
    return sorted(
        p for pattern in ("runs/*/policy", "runs/*/round-*/align/policy") for p in project.folder.glob(pattern)
    )


def _missed(project: Project, known: Mapping[str, Recorded]) -> list[str]:
    found = {p.parent if p.name == "model.json" else p for pattern in ARTEFACTS for p in project.folder.glob(pattern)}
    return sorted(path for p in found if (path := _shown(project, p)) not in known)


def _shown(project: Project, path: Path) -> str:
    return path.resolve().relative_to(project.folder.resolve()).as_posix()


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = durable.read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, Mapping) else {}
