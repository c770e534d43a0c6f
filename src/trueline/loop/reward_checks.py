"""What the `trueline reward` commands ask of a saved reward model and the labels it was learned from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trueline.errors import InputError
from trueline.evaluate.counterfactual_rates import PassRate, pass_rates
from trueline.evaluate.held_out import score_answers, scored_pairs, scored_ratings
from trueline.evaluate.leakage import Leak, find_leaks
from trueline.evaluate.reward_compare import Duel, duel
from trueline.evaluate.reward_metrics import DimensionFigures, figures, tie_threshold
from trueline.evaluate.risk import Risk, risk
from trueline.evaluate.slices import Slice, slices
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.fitting import labels_of
from trueline.loop.project import Project
from trueline.records import Exchange
from trueline.reward.base import RewardModel
from trueline.reward.counterfactuals import read_table
from trueline.reward.registry import load_reward


@dataclass(frozen=True)
class Learned:
    """A reward model under rewards/, with the labels it learned from (train, validation) and did not see (test)."""

    folder: Path
    model: RewardModel
    snapshot: FeedbackSnapshot

    @classmethod
    def open(cls, project: Project, name: str) -> Learned:
        """InputError where there is no such model."""
        folder = project.reward_folder(name)
        return cls(folder, load_reward(folder), FeedbackSnapshot.load(labels_of(folder)))

    def seen(self) -> list[Exchange]:
        """What it learned from, the validation split too."""
        parts = [self.snapshot.split(name) for name in ("train", "validation")]
        return [part.exchange(i) for part in parts for i in part.completions]


@dataclass(frozen=True)
class Evaluation:
    """Of the held-out labels, by dimension; what stands on both sides of the split; how many answers were held out."""

    figures: dict[str, DimensionFigures]
    risks: dict[str, Risk | None]
    slices: dict[str, tuple[Slice, ...]]
    leaks: list[Leak]
    held_out: int


def evaluate(learned: Learned, resamples: int) -> Evaluation:
    """Figures of the test split; the margin that says "tie" is chosen on the validation split."""
    model, test, validation = learned.model, learned.snapshot.split("test"), learned.snapshot.split("validation")
    held, tuned = score_answers(model, test), score_answers(model, validation)
    found: dict[str, DimensionFigures] = {}
    risks: dict[str, Risk | None] = {}
    for i, dimension in enumerate(model.dimensions):
        pairs, rated = scored_pairs(held, test, dimension), scored_ratings(held, test, dimension)
        tuning = scored_pairs(tuned, validation, dimension)
        threshold = tie_threshold(tuning) if tuning.a else None
        found[dimension] = figures(pairs, rated, float(model.temperature[i]), threshold, resamples)
        risks[dimension] = risk(pairs, rated)
    leaks = find_leaks(learned.seen(), [test.exchange(i) for i in test.completions])
    return Evaluation(found, risks, {d: slices(held, test, d) for d in model.dimensions}, leaks, len(held.exchanges))


def counterfactuals(learned: Learned, table: Path) -> tuple[list[PassRate], list[str]]:
    """Pass rates on the held-out answers (on all where none are held out), and the tests that changed nothing."""
    held = learned.snapshot.split("test")
    kept = held if held.completions else learned.snapshot
    return pass_rates(learned.model, read_table(table), [kept.exchange(i) for i in kept.completions])


@dataclass(frozen=True)
class Compared:
    """By dimension that both judge; and by each model's name which of the pairs' answers it may know already."""

    duels: dict[str, Duel]
    leaks: dict[str, list[Leak]]


def compare(first: Learned, second: Learned) -> Compared:
    """On the test split of the first's labels, which the second may have learned from: both are looked through."""
    test = first.snapshot.split("test")
    one, other = (score_answers(each.model, test) for each in (first, second))
    shared = [d for d in first.model.dimensions if d in second.model.dimensions]
    if not shared:
        raise InputError(f"{first.folder.name} and {second.folder.name} judge no dimension in common")
    duels = {d: duel(scored_pairs(one, test, d), scored_pairs(other, test, d)) for d in shared}
    return Compared(duels, {each.folder.name: find_leaks(each.seen(), one.exchanges) for each in (first, second)})
