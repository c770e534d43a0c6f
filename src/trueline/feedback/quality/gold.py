"""Gold items, whose right judgement is known: how often each person gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trueline.feedback.quality.interval import Interval, wilson
from trueline.feedback.quality.votes import Kind, Value, Vote, coded, same


@dataclass(frozen=True)
class GoldScore:
    """right: share of the gold items that they judged rightly, with Wilson's interval; wrong: the other items."""

    annotator: str
    right: Interval
    wrong: tuple[str, ...]


def gold_scores(votes: Sequence[Vote], truth: Mapping[str, Value], kind: Kind) -> tuple[GoldScore, ...]:
    """By name, everyone who judged an item of `truth`; what counts as right is `same`."""
    c = coded([v for v in votes if v.item in truth])
    right: dict[str, int] = dict.fromkeys(c.annotators, 0)
    wrong: dict[str, list[str]] = {name: [] for name in c.annotators}
    for i, j, k in zip(c.item, c.annotator, c.value, strict=True):
        item, name = c.items[i], c.annotators[j]
        if same(kind, truth[item], c.values[k]):
            right[name] += 1
        else:
            wrong[name].append(item)
    return tuple(
        GoldScore(name, wilson(right[name], right[name] + len(wrong[name])), tuple(wrong[name])) for name in right
    )
