"""What was said before, in earlier rows of a file or in the store. 16 bytes a label, however long the file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from trueline.feedback import tables as t
from trueline.feedback.formats.base import Item
from trueline.feedback.screening.compact import NONE, CompactMap
from trueline.feedback.screening.screen import chunks
from trueline.feedback.store import ordered

Label = tuple[str, ...]
VALUES = 16  # codes of what a label says: a mark 0 to 5 (0: not applicable), a preference 0 to 6, and 8 for both bad


class Earlier:
    """The labels of the rows so far, by a 64-bit hash of whose they are and of what; the value and row of the first."""

    def __init__(self) -> None:
        self.first = CompactMap(np.uint64)

    def check(self, items: Sequence[Item]) -> list[int | None]:
        """For each row, in the file's order, the earlier row that it contradicts; such a row is not remembered."""
        labels = [[(_hash(key), value) for key, value in labels_of(item).items()] for item in items]
        keys = np.array([key for own in labels for key, _ in own], dtype=np.uint64)
        found = iter(self.first.find(keys))
        clashes: list[int | None] = []
        for item, own in zip(items, labels, strict=True):
            told = [(key, value, self._known(key, next(found))) for key, value in own]
            clash = next((k // VALUES for _, value, k in told if k != NONE and k % VALUES != value), None)
            clashes.append(clash)
            if clash is None:
                self.first.newest.update((key, value + VALUES * item.row) for key, value, k in told if k == NONE)
        self.first.put(())
        return clashes

    def _known(self, key: int, found: int) -> int:
        return found if found != NONE else self.first.newest.get(key, NONE)


def labels_of(item: Item) -> dict[Label, int]:
    """What a row says, as codes."""
    found: dict[Label, int] = {
        ("r", r.completion_id, r.dimension, r.annotator.name): r.value or 0 for r in item.ratings
    }
    for c in map(ordered, item.comparisons):
        found["c", c.a_id, c.b_id, c.dimension, c.annotator.name] = c.preference + 3 + 8 * c.both_bad
    return found


def stored_labels(c: sa.Connection, items: Sequence[Item]) -> Mapping[Label, int]:
    """What the store says now of the same texts."""
    found: dict[Label, int] = {}
    rated = sorted({r.completion_id for i in items for r in i.ratings})
    compared = sorted({x.a_id for i in items for x in map(ordered, i.comparisons)})
    for table, column, ids in ((t.rating_events, "completion_id", rated), (t.comparison_events, "a_id", compared)):
        for part in chunks(ids):
            for row in c.execute(sa.select(table).where(table.c[column].in_(part)).order_by(table.c.event)):
                key, value = _event(row)
                if row.withdrawn:
                    found.pop(key, None)
                else:
                    found[key] = value
    return found


def _event(row: Any) -> tuple[Label, int]:
    if hasattr(row, "a_id"):
        key: Label = ("c", row.a_id, row.b_id, row.dimension, row.annotator)
        return key, row.preference + 3 + 8 * row.both_bad
    return ("r", row.completion_id, row.dimension, row.annotator), row.value or 0


def _hash(label: Label) -> int:
    return int.from_bytes(hashlib.blake2b("\0".join(label).encode("utf-8", "surrogatepass"), digest_size=8).digest())
