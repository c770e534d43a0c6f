"""The same figure for parts of the test split: by topic, by length and by annotator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.evaluate.by_prompt import bootstrap_by_prompt, share_by_prompt
from trueline.evaluate.held_out import ScoredAnswers, ScoredPairs, ScoredRatings, scored_pairs, scored_ratings
from trueline.evaluate.reward_metrics import ENOUGH, pearson
from trueline.evaluate.statistics import Interval
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Prompt
from trueline.reward.relations import topic_words
from trueline.reward.text import words

TOPIC_KEYS = ("topic", "category", "section", "subset", "problem", "domain", "task")
TOPICS, RESAMPLES = 8, 300


@dataclass(frozen=True)
class Slice:
    """by: "topic", "length" or "annotator"; name: which of them; measure: "accuracy" on pairs, else "pearson" with the
    mean ratings; labels: how many pairs or rated answers.
    """

    by: str
    name: str
    measure: str
    labels: int
    figure: Interval


def slices(scored: ScoredAnswers, snapshot: FeedbackSnapshot, dimension: str, seed: int = 0) -> tuple[Slice, ...]:
    """Parts with fewer than 20 labels are left out."""
    pairs, rated = scored_pairs(scored, snapshot, dimension), scored_ratings(scored, snapshot, dimension)
    topic, _ = topics(list(snapshot.prompts.values()))
    length = _lengths(scored)
    found: list[Slice | None] = [
        _of(pairs, rated, "topic", t, {p for p, name in topic.items() if name == t}, None, seed)
        for t in sorted(set(topic.values()))
    ]
    for name in dict.fromkeys(length.values()):
        found.append(_of(pairs, rated, "length", name, None, {i for i, n in length.items() if n == name}, seed))
    for person in snapshot.annotators:
        alone = snapshot.by_annotators({person.name})
        own = scored_pairs(scored, alone, dimension), scored_ratings(scored, alone, dimension)
        found.append(_of(*own, "annotator", person.label, None, None, seed))
    return tuple(s for s in found if s is not None)


def topics(prompts: Sequence[Prompt]) -> tuple[dict[str, str], str]:
    """A topic for each prompt id, and where it comes from: the first meta key that tells prompts apart, else one of the
    8 most frequent words that at most a tenth of the prompts holds; "other" where there is neither.
    """
    for key in TOPIC_KEYS:
        named = {p.id: str(p.meta[key]) for p in prompts if key in p.meta}
        if len(set(named.values())) > 1:
            usual = [t for t, _ in Counter(named.values()).most_common(TOPICS)]
            return {p.id: t if (t := named.get(p.id, "other")) in usual else "other" for p in prompts}, f"meta {key!r}"
    said = {p.id: set(words("\n".join(m.content for m in p.messages if m.role == "user"))) for p in prompts}
    telling = topic_words(["\n".join(m.content for m in p.messages if m.role == "user") for p in prompts])
    # Single letters and lone Chinese characters say too little to name a topic by.
    counts = Counter(w for found in said.values() for w in found & telling if len(w) > 2)
    usual = [w for w, _ in counts.most_common(TOPICS)]
    return {i: next((w for w in usual if w in found), "other") for i, found in said.items()}, "the prompt's words"


def _lengths(scored: ScoredAnswers) -> dict[str, str]:
    """By completion id: which third of the answers' lengths it is in."""
    if not len(scored.lengths):
        return {}
    borders = np.unique(np.quantile(scored.lengths, [1 / 3, 2 / 3]))
    shown = [round(float(np.expm1(b))) for b in borders]
    names = [f"up to {shown[0]} words", *(f"to {s} words" for s in shown[1:]), f"over {shown[-1]} words"]
    place = np.searchsorted(borders, scored.lengths)
    return {i: names[place[row]] for i, row in sorted(scored.row.items(), key=lambda kv: place[kv[1]])}


def _of(
    pairs: ScoredPairs,
    rated: ScoredRatings,
    by: str,
    name: str,
    prompts: set[str] | None,
    answers: set[str] | None,
    seed: int,
) -> Slice | None:
    """A pair is of the length of its longer answer."""
    longer = [b if x >= 0 else a for a, b, x in zip(pairs.a, pairs.b, pairs.longer, strict=True)]

    def inside(owners: list[str], ids: list[str]) -> np.ndarray:
        return np.array(
            [
                (prompts is None or p in prompts) and (answers is None or i in answers)
                for p, i in zip(owners, ids, strict=True)
            ],
            dtype=bool,
        )

    kept = inside(pairs.prompts, longer) & (pairs.preference != 0)
    if kept.sum() >= ENOUGH:
        owners = [p for p, k in zip(pairs.prompts, kept, strict=True) if k]
        figure = share_by_prompt(owners, (pairs.margin * pairs.preference)[kept] > 0, RESAMPLES, seed)
        return None if figure is None else Slice(by, name, "accuracy", int(kept.sum()), figure)
    kept = inside(rated.prompts, rated.ids)
    if (pairs.preference != 0).sum() >= ENOUGH or kept.sum() < ENOUGH:
        return None
    owners = [p for p, k in zip(rated.prompts, kept, strict=True) if k]
    score, mean = rated.score[kept], rated.mean[kept]
    figure = bootstrap_by_prompt(owners, lambda rows: pearson(score[rows], mean[rows]), RESAMPLES, seed)
    return None if figure is None else Slice(by, name, "pearson", int(kept.sum()), figure)
