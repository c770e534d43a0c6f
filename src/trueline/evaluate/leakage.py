"""What stands on both sides of a split: the same prompt, the same answer, or nearly the same answer.

Candidates by MinHash over character shingles (Broder 1997) in bands (locality-sensitive hashing); each is verified by
its exact Jaccard index, so that nothing is named by chance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.records import Exchange
from trueline.reward.objective import shorten

SHINGLE = 5
BANDS, ROWS = 20, 4
ALIKE = 0.8
BLOCK = 200
_PRIME = (1 << 31) - 1


@dataclass(frozen=True)
class Leak:
    """kind: "same prompt", "same answer" or "near-duplicate answer"; seen, held_out: the two texts, shortened;
    jaccard: how alike, 1 for the same; held_out_id: the completion of the held-out side.
    """

    kind: str
    seen: str
    held_out: str
    jaccard: float
    held_out_id: str


def find_leaks(seen: Sequence[Exchange], held_out: Sequence[Exchange], alike: float = ALIKE) -> list[Leak]:
    """At most one for each held-out exchange, the worst: same prompt before same answer before the nearest answer.

    Case and white space do not count. Two answers whose Jaccard index is .8 are missed once in 30,000 times.
    """
    prompts = {_plain(e.prompt.text): e.prompt.text for e in seen}
    answers = {_plain(e.completion.text): e.completion.text for e in seen}
    texts = list(dict.fromkeys([*answers, *(_plain(e.completion.text) for e in held_out)]))
    near = _nearest(texts, len(answers), alike)
    place = {t: i for i, t in enumerate(texts)}
    found = []
    for e in held_out:
        asked, said = _plain(e.prompt.text), _plain(e.completion.text)
        if asked in prompts:
            found.append(_leak("same prompt", prompts[asked], e.prompt.text, 1.0, e))
        elif said in answers:
            found.append(_leak("same answer", answers[said], e.completion.text, 1.0, e))
        elif place[said] in near:
            other, jaccard = near[place[said]]
            found.append(_leak("near-duplicate answer", answers[texts[other]], e.completion.text, jaccard, e))
    return found


def shingles(text: str) -> np.ndarray:
    """The distinct runs of 5 characters, as sorted numbers; of a shorter text, the text itself."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    width = min(SHINGLE, len(points))
    if not width:
        return np.zeros(0, dtype=np.uint64)
    # 5 code points of 21 bits do not fit into 64; the product mixes them well enough to tell shingles apart.
    runs = np.lib.stride_tricks.sliding_window_view(points, width)
    value = np.full(len(runs), width, dtype=np.uint64)
    for column in runs.T:
        value = (value ^ column) * np.uint64(0x9E3779B97F4A7C15)
        value ^= value >> np.uint64(29)
    return np.unique(value)


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """Of two sorted sets."""
    if not len(a) or not len(b):
        return float(len(a) == len(b))
    both = len(np.intersect1d(a, b, assume_unique=True))
    return both / (len(a) + len(b) - both)


def _nearest(texts: Sequence[str], n_seen: int, alike: float) -> dict[int, tuple[int, float]]:
    """By place of a held-out text: the place of the seen one most like it, and how much."""
    sets = [shingles(t) for t in texts]
    signatures = _signatures(sets)
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for band in range(BANDS):
        part = np.ascontiguousarray(signatures[:, band * ROWS : (band + 1) * ROWS])
        for i in range(n_seen):
            buckets[band, part[i].tobytes()].append(i)
    found: dict[int, tuple[int, float]] = {}
    for i in range(n_seen, len(texts)):
        candidates = {
            j
            for band in range(BANDS)
            for j in buckets.get((band, signatures[i, band * ROWS : (band + 1) * ROWS].tobytes()), ())
        }
        # Sets whose sizes differ too much cannot be alike.
        size = len(sets[i])
        close = [j for j in sorted(candidates) if min(size, len(sets[j])) >= alike * max(size, len(sets[j]))]
        best = max(((jaccard(sets[i], sets[j]), -j) for j in close), default=(0.0, 0))
        if best[0] >= alike:
            found[i] = (-best[1], best[0])
    return found


def _signatures(sets: Sequence[np.ndarray]) -> np.ndarray:
    """(n, bands * rows) the least of each of several random linear hashes over a set."""
    rng = np.random.default_rng(43)
    a, b = (rng.integers(1, _PRIME, BANDS * ROWS).astype(np.uint64) for _ in range(2))
    found = np.zeros((len(sets), BANDS * ROWS), dtype=np.uint64)
    for i, items in enumerate(sets):
        small = items % np.uint64(_PRIME)
        least = np.full(BANDS * ROWS, np.iinfo(np.uint64).max, dtype=np.uint64)
        for start in range(0, len(small), BLOCK):
            block = (small[start : start + BLOCK, None] * a + b) % np.uint64(_PRIME)
            least = np.minimum(least, block.min(0))
        found[i] = least
    return found


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _leak(kind: str, seen: str, held_out: str, alike: float, e: Exchange) -> Leak:
    first, second = (shorten(" ".join(t.split())) for t in (seen, held_out))
    return Leak(kind, first, second, alike, e.completion.id)
