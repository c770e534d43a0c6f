"""Each kind of export by its name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trueline.errors import InputError
from trueline.feedback.exporting import rows as r
from trueline.feedback.exporting.dataset import write_dataset
from trueline.feedback.exporting.writing import write_csv, write_jsonl
from trueline.feedback.store import FeedbackStore

Weights = Mapping[str, float]


@dataclass(frozen=True)
class Exported:
    """rows: by what they are; sha256: of a snapshot."""

    path: Path
    rows: dict[str, int] = field(default_factory=dict)
    sha256: str | None = None


def export(store: FeedbackStore, kind: str, path: Path, weights: Weights | None = None) -> Exported:
    """Write one of KINDS. weights: how much each annotator's labels count, 1 where not given.

    InputError: an unknown kind, a place that cannot be written.
    """
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1, cutoff=0.0)[0]
        raise InputError(f"export {kind!r} is not known; did you mean {near!r}? There is {', '.join(KINDS)}")
    return KINDS[kind](store, path, weights)


def _judgements(store: FeedbackStore, path: Path, weights: Weights | None) -> Exported:
    """As it was said, event by event; CSV where the file is called so."""
    with r.look(store) as c:
        if path.suffix.lower() != ".csv":
            return Exported(path, {"judgements": write_jsonl(path, r.judgements(c))})
        marks = [f"{side}_{name}" for name in r.marked(c) for side in ("left", "right")]
        columns = (*r.JUDGEMENT_COLUMNS, *marks, "prompt", "left", "right")
        return Exported(path, {"judgements": write_csv(path, columns, map(r.flat, r.judgements(c)))})


def _preferences(store: FeedbackStore, path: Path, weights: Weights | None) -> Exported:
    with r.look(store) as c:
        return Exported(path, {"preferences": write_jsonl(path, r.preferences(c, weights))})


def _ratings(store: FeedbackStore, path: Path, weights: Weights | None) -> Exported:
    with r.look(store) as c:
        return Exported(path, {"ratings": write_jsonl(path, r.ratings(c, weights))})


def _own(store: FeedbackStore, path: Path, weights: Weights | None) -> Exported:
    with r.look(store) as c:
        return Exported(path, {"rows": write_jsonl(path, r.own(c))})


def _dataset(store: FeedbackStore, path: Path, weights: Weights | None) -> Exported:
    return Exported(path, write_dataset(store, path, weights))


def _snapshot(store: FeedbackStore, path: Path, weights: Weights | None) -> Exported:
    snapshot = store.snapshot()
    snapshot.save(path)
    counts = {"ratings": len(snapshot.ratings), "comparisons": len(snapshot.comparisons)}
    return Exported(path, counts, snapshot.sha256)


KINDS: dict[str, Callable[[FeedbackStore, Path, Weights | None], Exported]] = {
    "judgements": _judgements,
    "preferences": _preferences,
    "ratings": _ratings,
    "jsonl": _own,
    "dataset": _dataset,
    "snapshot": _snapshot,
}
