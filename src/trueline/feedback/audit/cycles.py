"""Preferences that go round: A over B, B over C, C over A."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations

from trueline.feedback.audit.findings import Figure, Finding, Passage, percent
from trueline.feedback.audit.passages import SHOWN, Passages
from trueline.feedback.snapshot import FeedbackSnapshot

Beats = Mapping[str, set[str]]
OFTEN, ENOUGH = 0.15, 20
EVERYBODY = ""


def cycle_findings(snapshot: FeedbackSnapshot, dimension: str, passages: Passages) -> list[Finding]:
    """Of one person's own preferences, and of the majority's. A quarter of the triples would go round by chance
    (Kendall and Babington Smith 1940); longer cycles, which need not hold a triple, are counted too.
    """
    votes: dict[tuple[str, str], dict[tuple[str, str], float]] = defaultdict(lambda: defaultdict(float))
    for c in snapshot.comparisons:
        if c.dimension == dimension and c.preference:
            pair = (min(c.a_id, c.b_id), max(c.a_id, c.b_id))
            for_second = (1 if c.preference > 0 else -1) * (1 if c.a_id == pair[0] else -1)
            for who in (c.annotator.label, EVERYBODY):
                votes[snapshot.completions[c.a_id].prompt_id, who][pair] += for_second
    alone = {key: _beats(v) for key, v in votes.items() if key[1] != EVERYBODY}
    together = {key: _beats(v) for key, v in votes.items() if key[1] == EVERYBODY}
    people = len({who for _, who in alone})
    found = _finding(alone, dimension, "one person", "one-person", passages)
    return found + (_finding(together, dimension, "the majority", "majority", passages) if people > 1 else [])


def _beats(votes: Mapping[tuple[str, str], float]) -> Beats:
    found: dict[str, set[str]] = defaultdict(set)
    for (a, b), margin in votes.items():
        if margin:
            winner, loser = (b, a) if margin > 0 else (a, b)
            found[winner].add(loser)
            found[loser]
    return found


def _finding(
    groups: Mapping[tuple[str, str], Beats], dimension: str, who: str, name: str, passages: Passages
) -> list[Finding]:
    triples = [(key, t) for key, beats in groups.items() for t in _triples(beats)]
    round_ = [(key, t) for key, t in triples if _goes_round(groups[key], t)]
    rings = [(key, ring) for key, beats in groups.items() if (ring := shortest_cycle(beats))]
    if not rings:
        return []
    share = len(round_) / len(triples) if triples else 0.0
    examples = [_example(who_, ring, passages) for (_, who_), ring in rings[:SHOWN]]
    return [
        Finding(
            id=f"cycle/{dimension}/{name}",
            aspect="cycle",
            subject=f"{dimension}, {who}",
            sentence=f"The {dimension} preferences of {who} go round in {len(rings):,} sets of answers; "
            f"{len(round_):,} of {len(triples):,} triples compared in full do ({percent(share)}; by chance 25% would).",
            advice="No reward can order answers that go round; ask for these pairs again, or for ratings instead.",
            severity="warning" if share > OFTEN and len(triples) >= ENOUGH else "note",
            figure=Figure(share, None, None, len(triples), "share"),
            examples=tuple(examples),
        )
    ]


def _triples(beats: Beats) -> Iterator[tuple[str, str, str]]:
    """Of which each two were compared."""
    for a, b, c in combinations(sorted(beats), 3):
        if all(x in beats[y] or y in beats[x] for x, y in ((a, b), (b, c), (a, c))):
            yield a, b, c


def _goes_round(beats: Beats, triple: tuple[str, str, str]) -> bool:
    return all(sum(y in beats[x] for y in triple) == 1 for x in triple)


def shortest_cycle(beats: Beats) -> list[str]:
    """Each beats the next and the last the first; empty where there is none. Breadth first, from each in turn."""
    best: list[str] = []
    for start in sorted(beats):
        paths, seen = [[start]], {start}
        while paths and (not best or len(paths[0]) < len(best)):
            path = paths.pop(0)
            if start in beats[path[-1]]:
                best = path
                break
            for following in sorted(beats[path[-1]] - seen):
                seen.add(following)
                paths.append([*path, following])
    return best


def _example(who: str, ring: list[str], passages: Passages) -> tuple[Passage, ...]:
    says = f"{who or 'the majority'}: better than the next"
    last = f"{who or 'the majority'}: better than the first"
    texts = [passages.answer(i, last if k == len(ring) - 1 else says) for k, i in enumerate(ring)]
    return (passages.prompt_of(ring[0]), *texts)
