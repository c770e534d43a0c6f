"""What two texts have in common, word by word: the longest common subsequence. Chinese goes by character."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

MOST_CELLS = 6_000_000
_TOKEN = re.compile(r"[㐀-䶿一-鿿豈-﫿぀-ヿ]|[^\W㐀-䶿一-鿿豈-﫿぀-ヿ]+(?:['’]\w+)*|\s+|.", re.DOTALL)
Where = Literal["both", "one", "other"]


@dataclass(frozen=True)
class Stretch:
    text: str
    where: Where


def compare(one: str, other: str) -> tuple[Stretch, ...] | None:
    """Stretches in order, what stands in one before what the other has there; None where it is too much to compare."""
    a, b = _TOKEN.findall(one), _TOKEN.findall(other)
    head = _alike(a, b)
    tail = _alike(a[head:][::-1], b[head:][::-1])
    middle = a[head : len(a) - tail], b[head : len(b) - tail]
    if (len(middle[0]) + 1) * (len(middle[1]) + 1) > MOST_CELLS:
        return None
    steps: list[tuple[str, Where]] = [(t, "both") for t in a[:head]]
    steps += _steps(*middle)
    steps += [(t, "both") for t in a[len(a) - tail :]]
    return _joined(steps)


def _alike(a: list[str], b: list[str]) -> int:
    """How many tokens both begin with."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _steps(a: list[str], b: list[str]) -> list[tuple[str, Where]]:
    places = {t: i for i, t in enumerate(dict.fromkeys([*a, *b]))}
    x, y = (np.array([places[t] for t in side], dtype=np.int64) for side in (a, b))
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=np.uint16)  # of what is left: read from the front
    for i in range(len(a) - 1, -1, -1):
        met = np.maximum(table[i + 1, :-1], table[i + 1, 1:] + (y == x[i]))
        table[i, :-1] = np.maximum.accumulate(met[::-1])[::-1]
    found: list[tuple[str, Where]] = []
    i = j = 0
    while i < len(a) and j < len(b):
        if a[i] == b[j]:
            found.append((a[i], "both"))
            i, j = i + 1, j + 1
        elif table[i + 1, j] >= table[i, j + 1]:
            found.append((a[i], "one"))
            i += 1
        else:
            found.append((b[j], "other"))
            j += 1
    return [*found, *((t, "one") for t in a[i:]), *((t, "other") for t in b[j:])]


def _joined(steps: list[tuple[str, Where]]) -> tuple[Stretch, ...]:
    """Neighbours of a kind together; between two stretches in common what one has stands before what the other has."""
    found: list[Stretch] = []
    change = {"one": "", "other": ""}
    for text, where in [*steps, ("", "both")]:
        if where != "both":
            change[where] += text
            continue
        for side in ("one", "other"):
            if change[side]:
                found.append(Stretch(change[side], "one" if side == "one" else "other"))
        change = {"one": "", "other": ""}
        if text and found and found[-1].where == "both":
            found[-1] = Stretch(found[-1].text + text, "both")
        elif text:
            found.append(Stretch(text, "both"))
    return tuple(found)
