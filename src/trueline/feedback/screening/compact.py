"""A map from 64-bit keys to whole numbers for millions of keys: 12 or 16 bytes each, where a dict takes 100."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

NEWEST = 100_000
NONE = -1


class CompactMap:
    """Sorted arrays, and a dict of the newest keys that is merged into them now and then. A key's first value stays."""

    def __init__(self, values: type[np.unsignedinteger] = np.uint64) -> None:
        self.keys = np.zeros(0, dtype=np.uint64)
        self.values = np.zeros(0, dtype=values)
        self.newest: dict[int, int] = {}

    def find(self, keys: np.ndarray) -> list[int]:
        """(n,) uint64 to the n values; NONE where there is none."""
        wanted = keys.tolist()
        if not len(self.keys):
            return [self.newest.get(k, NONE) for k in wanted]
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        there = self.keys[at] == keys
        old = zip(wanted, there.tolist(), self.values[at].tolist(), strict=True)
        return [value if found else self.newest.get(k, NONE) for k, found, value in old]

    def put(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Keys that `find` did not find."""
        for key, value in pairs:
            self.newest.setdefault(key, value)
        if len(self.newest) >= NEWEST:
            self.put_arrays(
                np.fromiter(self.newest.keys(), np.uint64, len(self.newest)),
                np.fromiter(self.newest.values(), self.values.dtype, len(self.newest)),
            )
            self.newest = {}

    def put_arrays(self, keys: np.ndarray, values: np.ndarray) -> None:
        """The same for many keys at once, which may be there already."""
        keys, first = np.unique(keys, return_index=True)
        values = values[first].astype(self.values.dtype)
        at = np.searchsorted(self.keys, keys)
        if len(self.keys):
            new = self.keys[np.minimum(at, len(self.keys) - 1)] != keys
            keys, values, at = keys[new], values[new], at[new]
        self.keys = np.insert(self.keys, at, keys)
        self.values = np.insert(self.values, at, values)

    def __len__(self) -> int:
        return len(self.keys) + len(self.newest)
