"""Each kind of export by its name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trueline.errors import InputError
from trueline.feedback.exporting import rows as r
from trueline.feedback.exporting import trl
from trueline.feedback.exporting.dataset import write_dataset
from trueline.feedback.exporting.writing import write_csv, write_jsonl, write_parquet
from trueline.feedback.store import FeedbackStore

Weights = Mapping[str, float]


@dataclass(frozen=True)
class Exported:
    """rows: by what they are; sha256: of a snapshot."""

    path: Path
    rows: dict[str, int] = field(default_factory=dict)
    sha256: str | None = None


def export(
    store: FeedbackStore, kind: str, path: Path, weights: Weights | None = None, dimension: str = ""
) -> Exported:
    """Write one of KINDS, or of TRL's. weights: how much each annotator's labels count, 1 where not given; dimension:
    that of TRL's rows, which know of one only.

    InputError: an unknown kind, a place that cannot be written, no such dimension.
    """
    if kind in trl.KINDS:
        return _trl(store, kind, path, dimension)
    if kind not in KINDS:
        known = (*KINDS, *trl.KINDS)
        near = difflib.get_close_matches(kind, known, n=1, cutoff=0.0)[0]
        raise InputError(f"export {kind!r} is not known; did you mean {near!r}? There is {', '.join(known)}")
    if dimension:
        raise InputError(f"--dimension goes with the trl- kinds; {kind} has all of them")
    return KINDS[kind](store, path, weights)


def _trl(store: FeedbackStore, kind: str, path: Path, dimension: str) -> Exported:
    """Parquet where the file is called so, else JSON lines."""
    write = write_parquet if path.suffix.lower() == ".parquet" else write_jsonl
    with r.look(store) as c:
        return Exported(path, {kind.removeprefix("trl-"): write(path, trl.trl_rows(c, kind, dimension))})


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
