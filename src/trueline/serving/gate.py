"""The safety gate: what may be asked, and what may be answered.

Letters: n answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.errors import InputError, TruelineError
from trueline.evaluate.judges.rules import Rule
from trueline.records import Exchange, Prompt
from trueline.reward.base import RewardModel
from trueline.reward.border import Border

REFUSAL = "I cannot help with that."
BROKEN = "it could not be judged"


@dataclass(frozen=True)
class Bad:
    """When a reward model says that an answer is bad: P(bad) over the limit."""

    model: RewardModel
    border: Border
    limit: float


@dataclass(frozen=True)
class Judged:
    """Why each of n answers is refused, () where it is not; bad: (n,) P(bad), None where no reward model says so."""

    reasons: tuple[tuple[str, ...], ...]
    bad: np.ndarray | None


@dataclass(frozen=True)
class Gate:
    """Rules that are `unsafe` to break, and a reward model's border. A gate that fails refuses.

    A request is held only against what a rule forbids: what a rule wants said is wanted of answers, and a rule with
    `prompt_matches` is about answers altogether. The border is not asked about requests: it was learned from answers,
    and says nothing of other texts.
    """

    rules: tuple[Rule, ...] = ()
    bad: Bad | None = None

    @classmethod
    def of(cls, rules: Sequence[Rule], bad: Bad | None) -> Gate:
        """InputError where nothing would ever be refused."""
        unsafe = tuple(rule for rule in rules if rule.unsafe)
        if not unsafe and bad is None:
            raise InputError(
                "the gate would refuse nothing: no rule says unsafe = true, and no reward model judges; mark rules, "
                "name a reward model with --gate, or serve with --no-gate"
            )
        return cls(unsafe, bad)

    def request(self, prompt: Prompt) -> tuple[str, ...]:
        """Why the last thing that the user said is refused."""
        said = next((m.content for m in reversed(prompt.messages) if m.role == "user"), "")
        asked = [r for r in self.rules if (r.must_not_match or r.must_not_have) and not r.prompt_matches]
        return _broken([_forbidding(r) for r in asked], Exchange.of(prompt, said))

    def answers(self, exchanges: Sequence[Exchange]) -> Judged:
        reasons = [_broken(self.rules, e) for e in exchanges]
        if self.bad is None:
            return Judged(tuple(reasons), None)
        try:
            scores = self.bad.model.score(exchanges)
            chance = self.bad.border.cost(scores)
        except TruelineError:
            chance = np.full(len(exchanges), np.nan)
        for i, p in enumerate(chance):
            if not p <= self.bad.limit:
                why = f"P(bad) in {self.bad.border.dimension} is {p:.3f}" if np.isfinite(p) else BROKEN
                reasons[i] = (*reasons[i], why)
        return Judged(tuple(reasons), chance)


def _forbidding(rule: Rule) -> Rule:
    """What a rule forbids, without what it asks for."""
    return Rule(
        name=rule.name, must_not_match=rule.must_not_match, must_not_have=rule.must_not_have, dimension=rule.dimension
    )


def _broken(rules: Sequence[Rule], exchange: Exchange) -> tuple[str, ...]:
    try:
        return tuple(f"rule: {rule.name}" for rule in rules if not rule.holds(exchange))
    except InputError:
        return (BROKEN,)
