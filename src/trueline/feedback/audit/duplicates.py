"""Texts that are there twice, whole or nearly: MinHash over runs of characters (Broder 1997) in bands, each candidate
then verified by its exact Jaccard index.

Letters: n texts, h hashes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from trueline.feedback.audit.findings import Figure, Finding, percent
from trueline.feedback.audit.passages import SHOWN, Passages
from trueline.feedback.audit.texts import plain
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import split_of

SHINGLE, BANDS, ROWS = 5, 16, 4
ALIKE = 0.8
IDENTICAL = 0.9
NEIGHBOURS = 20
_ODD = np.uint64(0x9E3779B97F4A7C15)
Pairs = Mapping[tuple[int, int], float]


def shingles(text: str) -> np.ndarray:
    """The distinct runs of 5 characters of a text as it reads, hashed, sorted."""
    points = np.frombuffer(plain(text).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    width = min(SHINGLE, len(points))
    if not width:
        return np.zeros(0, dtype=np.uint64)
    value = np.zeros(len(points) - width + 1, dtype=np.uint64)
    for i in range(width):
        value = (value ^ points[i : len(points) - width + 1 + i]) * _ODD
        value ^= value >> np.uint64(31)
    return np.unique(value)


def near_pairs(texts: Sequence[str], alike: float = ALIKE) -> Pairs:
    """Jaccard index of pairs of places whose texts are alike at least so much.

    A pair with an index of .8 is missed once in 5,000 times. In a crowd of copies each is held against its neighbours
    only, which still joins the crowd.
    """
    sets = [shingles(t) for t in texts]
    signatures = _signatures(sets)
    candidates: set[tuple[int, int]] = set()
    for band in range(BANDS):
        buckets: dict[bytes, list[int]] = defaultdict(list)
        part = np.ascontiguousarray(signatures[:, band * ROWS : (band + 1) * ROWS])
        for i, row in enumerate(part):
            if len(sets[i]):
                buckets[row.tobytes()].append(i)
        for members in buckets.values():
            for k, i in enumerate(members):
                candidates.update((i, j) for j in members[k + 1 : k + 1 + NEIGHBOURS])
    found = {(i, j): jaccard(sets[i], sets[j]) for i, j in sorted(candidates)}
    return {pair: value for pair, value in found.items() if value >= alike}


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """Of two sorted sets that are not both empty."""
    both = len(np.intersect1d(a, b, assume_unique=True))
    return both / (len(a) + len(b) - both)


def _signatures(sets: Sequence[np.ndarray]) -> np.ndarray:
    """(n, h) the least of h random hashes over each set."""
    rng = np.random.default_rng(61)
    odd = rng.integers(0, 1 << 63, BANDS * ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    found = np.zeros((len(sets), BANDS * ROWS), dtype=np.uint64)
    held = [i for i, s in enumerate(sets) if len(s)]
    if held:
        starts = np.cumsum([0, *(len(sets[i]) for i in held[:-1])])
        everything = np.concatenate([sets[i] for i in held])
        for h, factor in enumerate(odd):
            mixed = everything * factor
            found[held, h] = np.minimum.reduceat(mixed ^ (mixed >> np.uint64(32)), starts)
    return found


def groups_of(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Places that hang together, each group in order."""
    head: dict[int, int] = {}

    def top(i: int) -> int:
        while head.setdefault(i, i) != i:
            head[i] = head[head[i]]
            i = head[i]
        return i

    for i, j in pairs:
        a, b = sorted((top(i), top(j)))
        head[b] = a
    found: dict[int, list[int]] = defaultdict(list)
    for i in sorted(head):
        found[top(i)].append(i)
    return list(found.values())


def duplicate_findings(snapshot: FeedbackSnapshot, passages: Passages) -> list[Finding]:
    """Prompts and answers that are there more than once, and copies of prompts on both sides of the test split."""
    prompts, completions = list(snapshot.prompts), list(snapshot.completions)
    asked = [snapshot.prompts[i].text for i in prompts]
    alike = near_pairs(asked)
    found = _copies("prompt", asked, alike, [(passages.prompt(i, "prompt"),) for i in prompts])
    if found:
        found += _leaks(snapshot, prompts, alike, passages)
    said = [snapshot.completions[i].text for i in completions]
    return found + _copies("answer", said, near_pairs(said), [(passages.answer(i, "answer"),) for i in completions])


def _copies(what: str, texts: Sequence[str], alike: Pairs, shown: Sequence[tuple]) -> list[Finding]:
    if not alike:
        return []
    groups = sorted(groups_of(alike), key=lambda g: (-len(g), g))
    spare = sum(len(g) - 1 for g in groups)
    distinct = len({plain(t) for t in texts})
    exact = len(texts) - distinct
    share = spare / len(texts)
    examples = [tuple(p for i in g[:4] for p in shown[i]) for g in groups[:SHOWN]]
    return [
        Finding(
            id=f"duplicate/{what}s",
            aspect="duplicate",
            subject=f"{what}s",
            sentence=f"{spare:,} of {len(texts):,} {what}s ({percent(share)}) are copies of another: {exact:,} read "
            f"the same, {spare - exact:,} nearly so; the largest group has {len(groups[0]):,}.",
            advice="Copies count several times in what is learned; leave them if that is meant.",
            severity="warning" if share > 0.1 else "note",
            figure=Figure(share, None, None, len(texts), "share"),
            examples=tuple(examples),
        )
    ]


def _leaks(snapshot: FeedbackSnapshot, prompts: Sequence[str], alike: Pairs, passages: Passages) -> list[Finding]:
    side = [split_of(snapshot.prompts[i]) == "test" for i in prompts]
    crossing = [(i, j) for i, j in alike if side[i] != side[j]]
    if not crossing:
        return []
    held_out = {i if side[i] else j for i, j in crossing}
    share = len(held_out) / sum(side)
    return [
        Finding(
            id="duplicate/split",
            aspect="duplicate",
            subject="test split",
            sentence=f"{len(held_out):,} of {sum(side):,} test prompts ({percent(share)}) have a near copy among "
            "those that are learned from.",
            advice="Held-out figures may flatter: give copies the same `split` in their prompts' meta.",
            severity="warning",
            figure=Figure(share, None, None, sum(side), "share"),
            examples=tuple(
                tuple(passages.prompt(prompts[k], "test" if side[k] else "learned from") for k in pair)
                for pair in crossing[:SHOWN]
            ),
        )
    ]


def near_identical_answers(snapshot: FeedbackSnapshot) -> Mapping[tuple[str, str], float]:
    """Compared pairs of completions, the smaller id first, whose texts read the same or nearly so."""
    found = {}
    sets: dict[str, np.ndarray] = {}
    for pair in {(min(c.a_id, c.b_id), max(c.a_id, c.b_id)) for c in snapshot.comparisons}:
        for i in pair:
            if i not in sets:
                sets[i] = shingles(snapshot.completions[i].text)
        a, b = (sets[i] for i in pair)
        # Sets whose sizes differ too much cannot be alike.
        if min(len(a), len(b)) >= IDENTICAL * max(len(a), len(b), 1) and (value := jaccard(a, b)) >= IDENTICAL:
            found[pair] = value
    return dict(sorted(found.items()))
