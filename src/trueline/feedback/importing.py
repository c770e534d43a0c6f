"""Import a file into the store: good rows go in, bad rows are named, nothing goes in twice."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueline.errors import InputError
from trueline.feedback.formats import FORMATS, Item, RowError
from trueline.feedback.store import Added, FeedbackStore, ordered

BATCH = 500


@dataclass(frozen=True)
class ImportReport:
    added: Added
    rows_read: int
    errors: tuple[RowError, ...]


def import_file(
    store: FeedbackStore,
    format_name: str,
    path: Path,
    dimensions: tuple[str, ...],
    on_progress: Callable[[int], None] = lambda rows: None,
) -> ImportReport:
    """Read a file in one of FORMATS, 500 rows a transaction. InputError: an unknown format, a file of no use."""
    if format_name not in FORMATS:
        near = difflib.get_close_matches(format_name, FORMATS, n=1, cutoff=0.0)[0]
        raise InputError(f"format {format_name!r} is not known; did you mean {near!r}? There is {', '.join(FORMATS)}")
    added, errors, rows = Added(), [], 0
    first: dict[Any, tuple[Any, int]] = {}
    for batch in _batches(FORMATS[format_name](path, dimensions)):
        rows += len(batch)
        errors += [x for x in batch if isinstance(x, RowError)]
        items = []
        for item in (x for x in batch if isinstance(x, Item)):
            earlier = _contradicted(item, first)
            if earlier:
                why = f"contradicts {item.unit} {earlier}, where the same person judged otherwise"
                errors.append(RowError(str(path), item.row, why, item.unit))
            else:
                items.append(item)
        added += store.add(
            [e for item in items for e in item.exchanges],
            [r for item in items for r in item.ratings],
            [c for item in items for c in item.comparisons],
            [p for item in items for p in item.prompts],
        )
        on_progress(rows)
    return ImportReport(added, rows, tuple(errors))


def _contradicted(item: Item, first: dict[Any, tuple[Any, int]]) -> int:
    """The earlier row in which the same person judged the same thing otherwise; 0 when there is none."""
    labels: dict[Any, Any] = {(r.completion_id, r.dimension, r.annotator): r.value for r in item.ratings}
    for c in map(ordered, item.comparisons):
        labels[c.a_id, c.b_id, c.dimension, c.annotator] = (c.preference, c.both_bad)
    for key, value in labels.items():
        if key in first and first[key][0] != value:
            return first[key][1]
    first.update({key: (value, item.row) for key, value in labels.items() if key not in first})
    return 0


def _batches(found: Iterator[Item | RowError]) -> Iterator[Sequence[Item | RowError]]:
    batch: list[Item | RowError] = []
    for item in found:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
