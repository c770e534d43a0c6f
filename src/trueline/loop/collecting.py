"""Gather answers to prompts, and simulated annotators' judgements of them or a place in the queue for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trueline.align.answers import answer
from trueline.config import RewardConfig
from trueline.errors import InputError
from trueline.feedback.annotators import SimulatedAnnotator, panel
from trueline.feedback.labelling.items import add_items, unjudged
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.store import FeedbackStore
from trueline.loop.project import Project
from trueline.loop.selecting import select
from trueline.policy.load import Policy
from trueline.policy.randomness import generator
from trueline.records import Comparison, Exchange, Prompt, Rating, split_of
from trueline.reward.ensemble import Ensemble
from trueline.reward.features import PLAIN
from trueline.reward.linear import LinearReward

MEMBERS = 5
FIRST_SHARE = 8


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

    With `collect.pool` so many times as many answers are sampled, for simulated annotators to label the telling ones,
    as many as without it. Those to held-out prompts are all labelled, since a choice would make them easier or harder.
    """
    exchanges: list[Exchange] = []
    config = project.config
    times = 1 if project.scenario is None or project.labelled_by_people else config.collect.pool
    groups = [p for p in prompts if split_of(p) != "test"], [p for p in prompts if split_of(p) == "test"]
    for asked, k in zip(groups if times > 1 else (prompts, ()), (times, 1), strict=True):
        sampled: list[Exchange] = []
        for i in range(0, len(asked), 64):
            part, key = asked[i : i + 64], ("collect", seed, round_)
            sampled += answer(policy, part, config.policy, config.collect.completions * k, source, key).exchanges
        exchanges += _telling(project, sampled, source, seed, len(sampled) // k) if k > 1 else sampled
    ratings, comparisons = _label(project, exchanges, seed)
    with FeedbackStore.open(project.store_path) as store:
        store.add(exchanges, ratings, comparisons)
        people = project.labelled_by_people
        queued = add_items(store, unjudged(store), config.labelling.judgements) if people else 0
    distinct = {e.completion.id for e in exchanges}
    return Collected(len(prompts), len(distinct), len(ratings), len(comparisons), queued)


def _telling(project: Project, pool: Sequence[Exchange], source: str, seed: int, n: int) -> list[Exchange]:
    """n answers of the pool: a few at random, then again and again as many as there are labels, by a committee that
    learned from the teachers' labels so far. It does not know what an earlier call for the same answers left.
    """
    teachers = {p.name for p in Panels.of(project.config.collect.annotators, seed).teachers}
    prompts = {e.prompt.id for e in pool}
    with FeedbackStore.open(project.store_path) as store:
        before = store.snapshot().by_annotators(teachers)
    here = {i for i, c in before.completions.items() if c.source == source and c.prompt_id in prompts}
    held_out = set(before.split("test").completions)
    known = {r.completion_id for r in before.ratings} - here - held_out
    chosen: list[Exchange] = []
    ratings = [r for r in before.ratings if r.completion_id in known]
    while len(chosen) < n:
        size = min(n - len(chosen), max(len(known), -(-n // FIRST_SHARE)))
        members = _committee(project, [*(before.exchange(i) for i in before.completions), *chosen], ratings)
        batch = select(members, pool, known, size, seed)
        if not batch:
            break
        chosen += batch
        known |= {e.completion.id for e in batch}
        ratings += [r for r in _label(project, batch, seed)[0] if r.annotator.name in teachers]
    return chosen


def _committee(project: Project, answers: Sequence[Exchange], ratings: Sequence[Rating]) -> list[LinearReward]:
    """Linear models, each from another draw of the labels; none where there are too few labels yet."""
    known = {r.completion_id for r in ratings}
    rated = {e.completion.id: e for e in answers if e.completion.id in known}
    prompts = {e.prompt.id: e.prompt for e in rated.values()}
    snapshot = FeedbackSnapshot(prompts, {i: e.completion for i, e in rated.items()}, tuple(ratings), ())
    members = [LinearReward(RewardConfig(features=PLAIN), project.config.project.dimensions) for _ in range(MEMBERS)]
    try:
        Ensemble(members).fit(snapshot)
    except InputError:
        return []
    return members


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
