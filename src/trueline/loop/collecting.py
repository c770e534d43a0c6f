"""Gather answers to prompts, and simulated annotators' judgements of them or a place in the queue for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trueline.align.experience import answer
from trueline.feedback.annotators import SimulatedAnnotator, panel
from trueline.feedback.labelling.items import add_items, unjudged
from trueline.feedback.store import FeedbackStore
from trueline.loop.project import Project
from trueline.policy.load import Policy
from trueline.policy.randomness import generator
from trueline.records import Comparison, Exchange, Prompt, Rating


@dataclass(frozen=True)
class Collected:
    prompts: int
    completions: int
    ratings: int
    comparisons: int
    queued: int = 0


@dataclass(frozen=True)
class Panels:
    """Two disjoint groups of people: one teaches the reward, the other the judge that checks it."""

    teachers: tuple[SimulatedAnnotator, ...]
    judges: tuple[SimulatedAnnotator, ...]

    @classmethod
    def of(cls, n: int, seed: int) -> Panels:
        people = panel(n, seed)
        return cls(tuple(people[: (n + 1) // 2]), tuple(people[(n + 1) // 2 :]))


def collect(
    project: Project, policy: Policy, prompts: Sequence[Prompt], source: str, seed: int, round_: int
) -> Collected:
    """Sample answers and add them to the store. Where people label, they come into the queue, pair by pair; else every
    answer is rated by one simulated teacher and one judge, and each prompt's first two answers are compared by one of
    each. Repeating it adds nothing.
    """
    exchanges: list[Exchange] = []
    config = project.config
    for i in range(0, len(prompts), 64):
        part = prompts[i : i + 64]
        key = ("collect", seed, round_)
        exchanges += answer(policy, part, config.policy, config.collect.completions, source, key).exchanges
    ratings, comparisons = _label(project, exchanges, seed)
    with FeedbackStore.open(project.store_path) as store:
        store.add(exchanges, ratings, comparisons)
        people = project.labelled_by_people
        queued = add_items(store, unjudged(store), config.labelling.judgements) if people else 0
    distinct = {e.completion.id for e in exchanges}
    return Collected(len(prompts), len(distinct), len(ratings), len(comparisons), queued)


def _label(project: Project, exchanges: Sequence[Exchange], seed: int) -> tuple[list[Rating], list[Comparison]]:
    scenario = project.scenario
    if scenario is None or project.labelled_by_people:
        return [], []
    panels = Panels.of(project.config.collect.annotators, seed)
    dimensions = project.config.project.dimensions
    distinct = list({e.completion.id: e for e in exchanges}.values())
    truths = {e.completion.id: scenario.truth(e) for e in distinct}
    groups: dict[str, list[Exchange]] = {}
    ratings, comparisons = [], []
    for exchange in distinct:
        groups.setdefault(exchange.prompt.id, []).append(exchange)
        for person in _pick(panels, exchange.completion.id, seed):
            ratings += [person.rate(exchange, d, truths[exchange.completion.id].grade(d), seed) for d in dimensions]
    for first, second, *_ in (g for g in groups.values() if len(g) > 1):
        for person in _pick(panels, first.completion.id, seed):
            comparisons += [
                person.compare(
                    first,
                    second,
                    d,
                    truths[first.completion.id].grade(d),
                    truths[second.completion.id].grade(d),
                    seed,
                )
                for d in dimensions
            ]
    return ratings, comparisons


def _pick(panels: Panels, item: str, seed: int) -> list[SimulatedAnnotator]:
    rng = generator("assign", seed, item)
    return [group[int(rng.integers(len(group)))] for group in (panels.teachers, panels.judges)]
