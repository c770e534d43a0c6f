"""Labels as what an algorithm learns from that samples nothing: answers with rewards, or pairs with a better one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from trueline.align.judgement import Judge
from trueline.align.offline import Labelled, Unit, standardised
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Exchange, Message, Prompt
from trueline.reward.labels import preference_pairs, rating_targets

BETTER, WORSE = 1.0, 0.0


def labelled_answers(snapshot: FeedbackSnapshot, judge: Judge) -> list[Unit]:
    """Every labelled answer to a training prompt with the objective's learned reward, standardised over all of them."""
    train = snapshot.split("train")
    ids = {r.completion_id for r in train.ratings} | {i for c in train.comparisons for i in (c.a_id, c.b_id)}
    exchanges = [train.exchange(i) for i in sorted(ids)]
    rewards = judge(exchanges).rewards.tolist() if exchanges else []
    return standardised([(Labelled(e, r),) for e, r in zip(exchanges, rewards, strict=True)])


def labelled_pairs(snapshot: FeedbackSnapshot, weights: Mapping[str, float]) -> list[Unit]:
    """Pairs of answers to a training prompt, the better first, as people say: by their comparisons, the dimensions
    weighed as in the objective; without comparisons by their mean ratings. Ties teach nothing and are left out.
    """
    train = snapshot.split("train")
    found = _compared(train, weights) or _rated(train, weights)
    return [
        (Labelled(train.exchange(better), BETTER), Labelled(train.exchange(worse), WORSE))
        for (better, worse), margin in sorted(
            ((pair if margin > 0 else pair[::-1]), abs(margin)) for pair, margin in found.items()
        )
        if margin > 1e-9
    ]


def _compared(train: FeedbackSnapshot, weights: Mapping[str, float]) -> dict[tuple[str, str], float]:
    """By pair of answers: how much more the first is preferred."""
    found: dict[tuple[str, str], float] = defaultdict(float)
    for dimension, weight in weights.items():
        pairs = preference_pairs(train, dimension)
        for a, b, sign, size in zip(pairs.a, pairs.b, pairs.sign, pairs.weights, strict=True):
            first, second = sorted((a, b))
            found[first, second] += weight * float(size) * (float(sign) if first == b else -float(sign))
    return found


def _rated(train: FeedbackSnapshot, weights: Mapping[str, float]) -> dict[tuple[str, str], float]:
    worth: dict[str, float] = defaultdict(float)
    for dimension, weight in weights.items():
        targets = rating_targets(train, dimension)
        for i, value in zip(targets.ids, targets.values, strict=True):
            worth[i] += weight * float(value)
    groups: dict[str, list[str]] = defaultdict(list)
    for i in sorted(worth):
        groups[train.completions[i].prompt_id].append(i)
    return {(a, b): worth[a] - worth[b] for members in groups.values() for a, b in combinations(members, 2)}


def prompt_row(prompt: Prompt) -> dict[str, Any]:
    """A prompt as JSON."""
    return {"messages": [[m.role, m.content] for m in prompt.messages], "meta": dict(prompt.meta)}


def prompt_of(row: Mapping[str, Any]) -> Prompt:
    return Prompt(tuple(Message(role, text) for role, text in row["messages"]), row["meta"])


def unit_row(unit: Unit) -> list[dict[str, Any]]:
    """What is drawn together, as JSON."""
    return [
        {
            **prompt_row(x.exchange.prompt),
            "text": x.exchange.completion.text,
            "source": x.exchange.completion.source,
            "finish": x.exchange.completion.finish,
            "reward": x.reward,
        }
        for x in unit
    ]


def unit_of(rows: Sequence[Mapping[str, Any]]) -> Unit:
    return tuple(
        Labelled(Exchange.of(prompt_of(r), r["text"], r["source"], r["finish"]), float(r["reward"])) for r in rows
    )
