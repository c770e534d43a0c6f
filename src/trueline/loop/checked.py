"""Parts of the reward that are checked by rule and not learned: those that `objective.checks` names.

Their names are `trueline.config.CHECK_NAMES`, so that a wrong one is refused before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trueline.evaluate.judges.played import PlayedJudge
from trueline.evaluate.judges.rules import RulesJudge, read_rules
from trueline.evaluate.judges.told import ToldJudge
from trueline.evaluate.judges.verse import VerseJudge
from trueline.loop.project import Project
from trueline.records import Exchange

Check = Callable[[Sequence[Exchange]], np.ndarray]
"""(n,) float64, 0 to 1, of n answers; 1 where the prompt asks for nothing that it checks. It is sent to Ray's scorers
with the learned reward, and so is all that it holds."""


@dataclass(frozen=True)
class Kept:
    """What a judge of one dimension says; 1 where it has no verdict."""

    judge: ToldJudge | VerseJudge | PlayedJudge

    def __call__(self, exchanges: Sequence[Exchange]) -> np.ndarray:
        values = self.judge.rate(exchanges).scores.values[:, 0]
        return np.where(np.isnan(values), 1.0, values)


@dataclass(frozen=True)
class RulesKept:
    """The weighted share of the rules that an answer keeps, over all dimensions; 0 where it breaks an unsafe one."""

    judge: RulesJudge

    def __call__(self, exchanges: Sequence[Exchange]) -> np.ndarray:
        found, rules = self.judge.rate(exchanges), self.judge.rules
        weights = np.array([sum(r.weight for r in rules if r.dimension == d) for d in found.scores.dimensions])
        shares = found.scores.values @ weights / weights.sum()
        return shares if found.safe is None else np.where(found.safe, shares, 0.0)


def rules_file(project: Project) -> Path:
    """The file of `evaluate.rules`: in a project, and in a run's folder the copy that the run began with."""
    return project.folder / Path(project.config.evaluate.rules).name


CHECKS: Mapping[str, Callable[[Project], Check]] = {
    "form": lambda project: Kept(VerseJudge()),
    "whole_form": lambda project: Kept(VerseJudge(whole=True)),
    "told": lambda project: Kept(ToldJudge()),
    "rules": lambda project: RulesKept(read_rules(rules_file(project))),
    "task": lambda project: Kept(PlayedJudge()),
}


def checks_of(project: Project) -> dict[str, Check]:
    """The checks that the project's objective names. InputError: the file that one reads is missing or wrong."""
    return {name: CHECKS[name](project) for name in project.config.objective.checks}
