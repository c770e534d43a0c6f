"""Labels that cannot all be right: a pair judged both ways, a text labelled both ways, preferences that go round.

All are counts, not tests; with noisy people some are to be expected. Texts count as the same when they differ only in
case, white space and punctuation: the store itself keeps one label of one person for one pair.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trueline.feedback.audit.findings import Figure, Finding, Passage, percent
from trueline.feedback.audit.passages import SHOWN, Passages
from trueline.feedback.audit.texts import plain
from trueline.feedback.snapshot import FeedbackSnapshot

LOW, HIGH = 2, 4
ALONE = "Ask them again; a person who contradicts himself often needs the guideline explained."
TOGETHER = "Ask a further person; let the reward learn from all of them, since the majority is more often right."


@dataclass(frozen=True)
class Said:
    """One person's label of one thing: value below 0 and above 0 are opposite, 0 is neither; ids: the completions."""

    person: str
    value: float
    ids: tuple[str, ...]


def contradiction_findings(snapshot: FeedbackSnapshot, dimension: str, passages: Passages) -> list[Finding]:
    names = _Names(snapshot)
    pairs: dict[tuple[str, ...], list[Said]] = defaultdict(list)
    for c in snapshot.comparisons:
        if c.dimension == dimension:
            a, b = names.of(c.a_id), names.of(c.b_id)
            key, value = ((a, b), float(c.preference)) if a <= b else ((b, a), -float(c.preference))
            if a != b:
                pairs[key].append(Said(c.annotator.label, value, (c.a_id, c.b_id)))
    marks: dict[tuple[str, ...], list[Said]] = defaultdict(list)
    for r in snapshot.ratings:
        if r.dimension == dimension and r.value is not None:
            mark = -1.0 if r.value <= LOW else 1.0 if r.value >= HIGH else 0.0
            marks[(names.of(r.completion_id),)].append(Said(r.annotator.label, mark, (r.completion_id,)))
    return [
        *_contradictions(pairs, dimension, "pair", "the same pair both ways", passages),
        *_contradictions(marks, dimension, "text", f"the same text {LOW} or less and {HIGH} or more", passages),
    ]


class _Names:
    """A completion's name: its prompt and text as they read, so that copies share it."""

    def __init__(self, snapshot: FeedbackSnapshot) -> None:
        self._prompts = {i: plain(p.text) for i, p in snapshot.prompts.items()}
        self._texts = {i: plain(c.text) for i, c in snapshot.completions.items()}
        self._prompt_of = {i: c.prompt_id for i, c in snapshot.completions.items()}

    def of(self, completion: str) -> str:
        return f"{self._prompts[self._prompt_of[completion]]}\0{self._texts[completion]}"


def _contradictions(
    labels: Mapping[tuple[str, ...], Sequence[Said]], dimension: str, what: str, how: str, passages: Passages
) -> list[Finding]:
    """By one person, and between people, among the things that were judged twice so."""
    alone, apart, twice_alone, twice = [], [], 0, 0
    for said in labels.values():
        by_person: dict[str, list[Said]] = defaultdict(list)
        for each in said:
            by_person[each.person].append(each)
        twice_alone += sum(len(own) > 1 for own in by_person.values())
        alone += [own for own in by_person.values() if _both_ways(own)]
        if len(by_person) > 1:
            twice += 1
            if _both_ways(said):
                apart.append(list(said))
    found = []
    for who, cases, of, advice in (("one person", alone, twice_alone, ALONE), ("people", apart, twice, TOGETHER)):
        if not cases:
            continue
        share = len(cases) / of
        found.append(
            Finding(
                id=f"contradiction/{dimension}/{what}/{who.replace(' ', '-')}",
                aspect="contradiction",
                subject=f"{dimension}, {what}, {who}",
                sentence=f"{who.capitalize()} judged {how} in {dimension} in {len(cases):,} of {of:,} cases "
                f"judged twice ({percent(share)}).",
                advice=advice,
                severity="warning" if who == "one person" else "note",
                figure=Figure(share, None, None, of, "share"),
                examples=tuple(_example(case, passages) for case in cases[:SHOWN]),
            )
        )
    return found


def _both_ways(said: Sequence[Said]) -> bool:
    return any(s.value < 0 for s in said) and any(s.value > 0 for s in said)


def _example(said: Sequence[Said], passages: Passages) -> tuple[Passage, ...]:
    one = said[0]
    against = next(s for s in said if s.value * one.value < 0) if one.value else one
    who = f"{one.person} and {against.person}" if against.person != one.person else one.person
    texts = [passages.answer(i, f"judged both ways by {who}") for i in one.ids]
    return (passages.prompt_of(one.ids[0]), *texts)


def near_identical_findings(
    snapshot: FeedbackSnapshot, dimension: str, near: Mapping[tuple[str, str], float], passages: Passages
) -> list[Finding]:
    """Comparisons of two answers that are nearly the same text; near: the likeness of such pairs of completions."""
    compared = [c for c in snapshot.comparisons if c.dimension == dimension]
    alike = [c for c in compared if (min(c.a_id, c.b_id), max(c.a_id, c.b_id)) in near]
    if not alike:
        return []
    share = len(alike) / len(compared)
    examples = [
        (passages.prompt_of(c.a_id), passages.answer(c.a_id, "A"), passages.answer(c.b_id, "B")) for c in alike[:SHOWN]
    ]
    return [
        Finding(
            id=f"near-identical/{dimension}",
            aspect="near-identical",
            subject=dimension,
            sentence=f"{len(alike):,} of {len(compared):,} {dimension} comparisons ({percent(share)}) are of two "
            "answers that are the same but for a few characters.",
            advice="A choice between them teaches nothing but noise; sample answers that differ more.",
            severity="warning" if share > 0.05 else "note",
            figure=Figure(share, None, None, len(compared), "share"),
            examples=tuple(examples),
        )
    ]
