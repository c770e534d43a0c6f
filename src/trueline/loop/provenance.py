"""What each artefact is and came from, in the audit log's chain: the sha256 of its files, and its parents'.

An entry is written once the artefact is whole. A stage that is gone through again after a kill finds either no entry,
and writes it, or one, and leaves it: what was changed meanwhile is not recorded as if it were right.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from trueline import config as settings
from trueline import durable
from trueline.config import Config
from trueline.feedback.accounts.log import Entry, Head, head, plain_entries, write_plain
from trueline.feedback.store import FeedbackStore
from trueline.loop.project import Project

Kind = Literal["snapshot", "reward", "policy", "promoted", "report", "export"]
RECORD, REDACT = "record", "redact"
HEAD_FILE, HEAD = "provenance.json", "audit log's head"


@dataclass(frozen=True)
class Parent:
    """path: inside the project, else only a name; sha256: "" where it is not on this machine."""

    path: str
    sha256: str
    inside: bool = True


@dataclass(frozen=True)
class Recorded:
    """An artefact as an entry has it. path: from the project's folder; files: sha256 by path within it, {"": sha256} of
    a single file; redacted: the erasure entry by which personal data went out of it, 0 where none did.
    """

    entry: int
    kind: str
    path: str
    sha256: str
    files: Mapping[str, str]
    parents: Mapping[str, Parent] = field(default_factory=dict)
    redacted: int = 0


def record(project: Project, kind: Kind, path: Path, parents: Mapping[str, Path | str], *, again: bool = False) -> None:
    """Append an artefact's entry; nothing where there is one. again: it was made anew just now, so that another content
    is another entry. parents: by what they were to it, a path or the name of a model that is nowhere here.
    """
    about = inside(project, path)
    with FeedbackStore.open(project.store_path) as store:
        with store.reading() as c:
            known = newest(recorded(c))
        if about in known and not again:
            return
        sha256, files = digest(path)
        if about in known and known[about].sha256 == sha256:
            return
        came = {role: vars(_parent(project, p, known)) for role, p in parents.items()}
        details = {"kind": kind, "path": about, "sha256": sha256, "files": files, "parents": came}
        with store.transaction() as c:
            write_plain(c, time.time(), RECORD, about[-200:], **details)


def recorded(c: sa.Connection) -> list[Recorded]:
    """All that entries say of artefacts, oldest first."""
    return [_read(e) for e in plain_entries(c, RECORD, REDACT)]


def newest(found: list[Recorded]) -> dict[str, Recorded]:
    """By path, what the last entry says."""
    return {r.path: r for r in found}


def digest(path: Path) -> tuple[str, dict[str, str]]:
    """The sha256 of a file, or that of a folder's list of files with theirs; and that list. What a crash left
    half-written is no part of it.
    """
    if path.is_file():
        one = _sha256(path)
        return one, {"": one}
    files = {
        p.relative_to(path).as_posix(): _sha256(p)
        for p in sorted(path.rglob("*"))
        if p.is_file() and durable.PENDING not in p.relative_to(path).as_posix()
    }
    return digest_of(files), files


def digest_of(files: Mapping[str, str]) -> str:
    """Of a list of files with their sha256."""
    if set(files) == {""}:
        return files[""]
    return hashlib.sha256("".join(f"{sha} {name}\n" for name, sha in sorted(files.items())).encode()).hexdigest()


def inside(project: Project, path: Path) -> str:
    """A path from the project's folder; ../ where it lies outside."""
    return Path(os.path.relpath(path.resolve(), project.folder.resolve())).as_posix()


def project_above(folder: Path, config: Config) -> Project | None:
    """The project that a run's folder lies in, with the run's own settings; None where it lies in none."""
    above = (place for place in folder.resolve().parents if (place / settings.FILE_NAME).exists())
    return next((Project(place, config) for place in above), None)


def head_of(project: Project) -> Head:
    with FeedbackStore.open(project.store_path) as store:
        return head(store)


def head_line(project: Project) -> str:
    """The chain's head as a report notes it: who has the report can tell whether the log was rewritten since."""
    found = head_of(project)
    return f"{found.hash} after {found.entries} entries"


def note_head(project: Project, folder: Path) -> None:
    """provenance.json in a folder: the chain's head now. Apart from the results, which are the same in every run."""
    durable.write_json(folder / HEAD_FILE, vars(head_of(project)))


def _parent(project: Project, parent: Path | str, known: Mapping[str, Recorded]) -> Parent:
    place = Path(parent)
    if not place.exists():
        return Parent(str(parent), "", inside=False)
    here = place.resolve()
    if not here.is_relative_to(project.folder.resolve()):
        return Parent(here.name, digest(here)[0], inside=False)
    path = inside(project, here)
    return Parent(path, known[path].sha256 if path in known else digest(here)[0])


def _read(entry: Entry) -> Recorded:
    d: Mapping[str, Any] = entry.details
    parents = {role: Parent(**p) for role, p in d.get("parents", {}).items()}
    return Recorded(entry.event, d["kind"], d["path"], d["sha256"], d["files"], parents, d.get("erasure", 0))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
