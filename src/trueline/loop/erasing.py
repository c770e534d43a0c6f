"""Erasure through and through: the log says that it begins, files are redacted, then the store lets go of it.

The store comes last, so that a command that was killed finds what to look for when it is given again. Weights cannot
forget: the models that learned from it are named.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from trueline import durable
from trueline.errors import InputError
from trueline.evaluate.explaining import WORKED_OUT, beside
from trueline.feedback.accounts import log
from trueline.feedback.privacy.erasure import Erasure, matching, of_person, of_text, remove
from trueline.feedback.privacy.masking import without_personal
from trueline.feedback.privacy.retention import end_secrets, expired
from trueline.feedback.store import FeedbackStore
from trueline.loop.project import Project, absolute
from trueline.loop.provenance import REDACT, digest_of, inside, newest, recorded
from trueline.loop.redacting import rewrites

Action = Literal["erase", "purge"]
DONE = {"erase": "erased", "purge": "purged"}
DAY = 86_400.0
SNAPSHOT = ".snapshot.jsonl"
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Erased:
    """files: that hold it, from the project's folder; models: that learned from it; entry: of the log, 0 in a dry
    run.
    """

    what: Erasure
    secrets: int
    files: tuple[str, ...]
    models: tuple[str, ...]
    entry: int


def erase(
    project: Project, reason: str, *, annotator: str = "", text_id: str = "", words: str = "", do: bool = False
) -> Erased:
    """One of a person, a text by its id, all texts with some words. do: else it is only told what would go.

    InputError: not one of the three, no reason, no such text.
    """
    if sum(map(bool, (annotator, text_id, words))) != 1:
        raise InputError("say what to erase: one of --annotator, --text-id and --matching")
    if do and not reason.strip():
        raise InputError("--reason: say why, such as the request that came; it stays in the log, without names")
    said = without_personal(" ".join(reason.split()))
    for secret in filter(None, (annotator, words)):
        said = said.replace(secret, "[erased]")

    def find(c: sa.Connection) -> Erasure:
        return of_person(c, annotator) if annotator else of_text(c, text_id) if text_id else matching(c, words)

    return _through(project, "erase", said, lambda c: (find(c), _NONE), do=do)


def purge(project: Project, *, do: bool = False, now: float | None = None) -> Erased:
    """What is older than `privacy.keep_days`. InputError: the project keeps everything."""
    days = project.config.privacy.keep_days
    if not days:
        raise InputError("privacy.keep_days is 0, so that everything is kept; set it to a number of days")
    before = (time.time() if now is None else now) - days * DAY

    def find(c: sa.Connection) -> tuple[Erasure, frozenset[str]]:
        found = expired(c, before)
        return found.erasure, found.secrets

    return _through(project, "purge", f"older than {days} days", find, do=do)


def _through(
    project: Project,
    action: Action,
    reason: str,
    find: Callable[[sa.Connection], tuple[Erasure, frozenset[str]]],
    *,
    do: bool,
) -> Erased:
    place = project.store_path
    if isinstance(place, Path) and not place.exists():
        raise InputError(f"{place}: no store, so there is nothing to erase")
    with FeedbackStore.open(place) as store:
        with store.reading() as c:
            what, secrets = find(c)
        there = not what.empty or secrets or next(rewrites(project, what, 0), None)
        entry = _begin(store, action, reason, what) if do and there else 0
        changed = list(rewrites(project, what, entry))
        models = _learned(project, {path for path, _ in changed})
        files = tuple(inside(project, path) for path, _ in changed)
        if entry:
            _note_redactions(store, project, changed, entry)
            for path, data in changed:
                _forget_vectors(path)
                durable.write_file(path, data)
            with store.transaction() as c:
                remove(c, what)
                end_secrets(c, secrets)
                log.write_plain(c, time.time(), DONE[action], action, erasure=entry, models=list(models))
        return Erased(what, len(secrets), files, models, entry)


def _forget_vectors(changed: Path) -> None:
    """What was worked out of a reward model's labels; it is worked out again when it is asked for."""
    if changed.name.endswith(SNAPSHOT):
        for what in WORKED_OUT:
            beside(_model_of(changed), what).unlink(missing_ok=True)


def _model_of(snapshot: Path) -> Path:
    """The reward model that learned from it: the other way round than `stages.labels_of`."""
    return snapshot.with_name(snapshot.name.removesuffix(SNAPSHOT))


def _begin(store: FeedbackStore, action: Action, reason: str, what: Erasure) -> int:
    """The entry that says what goes; the one of an earlier call that was killed, where it says the same."""
    details = {"reason": reason, **what.plan()}
    with store.transaction() as c:
        done = {e.details.get("erasure") for e in log.plain_entries(c, DONE[action])}
        for earlier in log.plain_entries(c, action):
            if earlier.event not in done and dict(earlier.details) == details:
                return earlier.event
        return log.write_plain(c, time.time(), action, action, **details)


def _note_redactions(store: FeedbackStore, project: Project, changed: Sequence[tuple[Path, bytes]], entry: int) -> None:
    """What each recorded artefact will be, before its files are written: a kill between the two is made good later."""
    new = {inside(project, path): hashlib.sha256(data).hexdigest() for path, data in changed}
    with store.transaction() as c:
        for one in newest(recorded(c)).values():
            files = {name: new.get(f"{one.path}/{name}" if name else one.path, sha) for name, sha in one.files.items()}
            if files != dict(one.files):
                came = {role: vars(p) for role, p in one.parents.items()}
                details = {"kind": one.kind, "path": one.path, "sha256": digest_of(files), "files": files}
                more = {"parents": came, "erasure": entry, "was": one.sha256}
                log.write_plain(c, time.time(), REDACT, one.path[-200:], **details, **more)


def _learned(project: Project, changed: Collection[Path]) -> tuple[str, ...]:
    """Models of the project that learned from snapshots which held it, by name."""
    found: list[Path] = []
    for path in sorted(p for p in changed if p.name.endswith("snapshot.jsonl")):
        if path.name == "snapshot.jsonl":
            found += [path.parent / "reward", path.parent / "judge", path.parent / "align" / "policy"]
        else:
            found.append(_model_of(path))
    rewards = {p.resolve() for p in found}
    for note in sorted((project.folder / "runs").glob("*/run.json")):
        run = durable.read_json(note)
        reward = run.get("reward")
        if isinstance(reward, str) and Path(absolute(reward, note.parent)).resolve() in rewards:
            found.append(note.parent / "policy")
    return tuple(dict.fromkeys(inside(project, p) for p in found if p.exists()))
